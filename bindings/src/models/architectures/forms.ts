/** How a file's tensor holds parameters: its shape, the way in and the way out. */
import { allocate, product } from "../../base/tensor.js";
import type { ResolvedTransformerConfig } from "../../transformer/types.js";
import { transpose } from "../layouts.js";

type Shape = readonly number[];

export interface Form {
  /** Not the parameters themselves, but factors of their rows; saved as ones. */
  readonly isScale?: boolean;
  /** The tensor's shape, from those of the parameters that it holds. */
  shape(parts: readonly Shape[], config: ResolvedTransformerConfig): Shape;
  /** The parameters' data, perhaps views of the tensor's. */
  read(data: Float32Array, parts: readonly Shape[], config: ResolvedTransformerConfig): Float32Array[];
  /** The tensor's data, perhaps the parameter's own. */
  write(data: readonly Float32Array[], parts: readonly Shape[], config: ResolvedTransformerConfig): Float32Array;
}

/** Whose parameters a tensor holds, and how. */
export interface Held {
  readonly parameters: string;
  readonly form: Form;
}

const zeros = (count: number) => new Float32Array(allocate(4 * count));
const counts = (parts: readonly Shape[]) => parts.map(product);
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

function split(data: Float32Array, lengths: readonly number[]): Float32Array[] {
  let end = 0;
  return lengths.map((length) => data.subarray(end, (end += length)));
}

function join(data: readonly Float32Array[]): Float32Array {
  if (data.length === 1) return data[0]!;
  const all = zeros(sum(data.map(({ length }) => length)));
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
    const result = parts.map((shape) => zeros(product(shape)));
    for (const [part, to, from, length] of pieces(parts, config))
      result[part]!.set(data.subarray(from, from + length), to);
    return result;
  },
  write(data, parts, config) {
    const result = zeros(sum(counts(parts)));
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
  shape: ([shape]) => shape!,
  read: (data) => [data.map((weight) => weight + 1)],
  write: ([data]) => data!.map((weight) => weight - 1),
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
  isScale: true,
  shape: ([weight]) => weight!.slice(0, 1),
  read: (data, parts) => parts.map(() => data),
  write: (data, parts) => zeros(parts[0]![0]!).fill(1),
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
