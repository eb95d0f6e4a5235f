/** How a file's tensor holds parameters: its shape, the way in and the way out. */
import { product } from "../../base/tensor.js";
import type { ResolvedTransformerConfig } from "../../transformer/types.js";
import type { Numbers } from "../../transformer/raw_parameters.js";
import { transpose, zerosLike } from "../layouts.js";

type Shape = readonly number[];

export interface Form {
  /** Whether it computes with the numbers, instead of moving them: then they must be floats. */
  readonly computes?: boolean;
  /** Not the parameters themselves, but factors of their rows; saved as ones. */
  readonly isScale?: boolean;
  /** The tensor's shape, from those of the parameters that it holds. */
  shape(parts: readonly Shape[], config: ResolvedTransformerConfig): Shape;
  /** The parameters' data, perhaps views of the tensor's. */
  read<Data extends Numbers>(data: Data, parts: readonly Shape[], config: ResolvedTransformerConfig): Data[];
  /** The tensor's data, perhaps the parameter's own. */
  write<Data extends Numbers>(data: readonly Data[], parts: readonly Shape[], config: ResolvedTransformerConfig): Data;
}

/** Whose parameters a tensor holds, and how. */
export interface Held {
  readonly parameters: string;
  readonly form: Form;
}

const counts = (parts: readonly Shape[]) => parts.map(product);
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

function split<Data extends Numbers>(data: Data, lengths: readonly number[]): Data[] {
  let end = 0;
  return lengths.map((length) => data.subarray(end, (end += length)) as Data);
}

function join<Data extends Numbers>(data: readonly Data[]): Data {
  if (data.length === 1) return data[0]!;
  const all = zerosLike(data[0]!, sum(data.map(({ length }) => length)));
  let end = 0;
  for (const piece of data) {
    all.set(piece, end);
    end += piece.length;
  }
  return all;
}

/** One behind the other along the outputs. */
const stacked: Form = {
  shape: (parts) => [sum(parts.map(([outputs]) => outputs!)), ...parts[0]!.slice(1)],
  read: (data, parts) => split(data, counts(parts)),
  write: (data) => join(data),
};

/** Stacked, and matrices are [in, out]: x W + b, transformers' Conv1D. */
const inputsFirst: Form = {
  shape: (parts, config) => [...stacked.shape(parts, config)].reverse(),
  read(data, parts, config) {
    const [inputs] = this.shape(parts, config);
    return stacked.read(parts[0]!.length === 1 ? data : transpose(data, inputs!), parts, config);
  },
  write(data, parts, config) {
    const all = join(data);
    return parts[0]!.length === 1 ? all : transpose(all, stacked.shape(parts, config)[0]!);
  },
};

/** Head by head: its queries' outputs, its keys', its values'. */
const byHead: Form = {
  shape: stacked.shape,
  read(data, parts, config) {
    const result = parts.map((shape) => zerosLike(data, product(shape)));
    for (const [part, to, from, length] of pieces(parts, config))
      result[part]!.set(data.subarray(from, from + length), to);
    return result;
  },
  write(data, parts, config) {
    const result = zerosLike(data[0]!, sum(counts(parts)));
    for (const [part, at, to, length] of pieces(parts, config)) result.set(data[part]!.subarray(at, at + length), to);
    return result;
  },
};

/** Of `byHead`: which parameter's, where in it, where in the tensor, and how many numbers. */
function* pieces(parts: readonly Shape[], { headDim }: ResolvedTransformerConfig) {
  const [outputs, ...inputs] = parts[0]!;
  const length = headDim * product(inputs);
  for (let head = 0, at = 0; head < outputs! / headDim; ++head) {
    for (let part = 0; part < parts.length; ++part, at += length) yield [part, head * length, at, length] as const;
  }
}

/** The parameter less one: norms that multiply by 1 + w. */
const lessOne: Form = {
  computes: true,
  shape: ([shape]) => shape!,
  read: (data) => [data.map((weight) => weight + 1) as typeof data],
  write: ([data]) => data!.map((weight) => weight - 1) as typeof data & {},
};

/** With axes of 1 before its own. */
const behindAxes = (axes: number): Form => ({
  ...stacked,
  shape: ([shape]) => [...Array<number>(axes).fill(1), ...shape!],
});

/** A convolution over patches: [E, channels, rows, columns]. */
const ofPatches: Form = {
  ...stacked,
  shape: ([shape], { patches }) =>
    shape!.length === 1 ? shape! : [shape![0]!, patches!.channels, patches!.size, patches!.size],
};

/** A factor of each output of a linear layer, multiplied into its parameters. */
const rowFactors: Form = {
  computes: true,
  isScale: true,
  shape: ([weight]) => weight!.slice(0, 1),
  read: (data, parts) => parts.map(() => data),
  write: ([data], parts) => zerosLike(data!, parts[0]![0]!).fill(1) as typeof data & {},
};

const held =
  (form: Form) =>
  (parameters: string): Held => ({ parameters, form });

export const plain = held(stacked);
export const conv1d = held(inputsFirst);
export const headByHead = held(byHead);
export const onePlus = held(lessOne);
export const convolution = held(ofPatches);
export const factorsOf = held(rowFactors);
export const unsqueezed = (parameters: string, axes: number) => held(behindAxes(axes))(parameters);
