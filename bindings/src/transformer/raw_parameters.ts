/** A model's parameters in pieces, and matrices in the numbers that the core keeps. */
import { HeadwiseError } from "../base/errors.js";
import { allocate, product } from "../base/tensor.js";
import type { Parameter } from "../module/config.js";
import { trained } from "../module/trained.js";
import type { Handle } from "../runtime/instance.js";
import type { NativeModel } from "../runtime/native.js";
import { isMatrix } from "./native_config.js";

/** The native model of a transformer. */
export const handleOf = (model: object) => trained.get(model)!.handle as Handle<NativeModel>;

/** Numbers of a file or of the core: float32, the bits of BF16, or int8. */
export type Numbers = Float32Array | Uint16Array | Int8Array;

/** Bytes of a piece, about: it needs room in the core beside the model. */
const pieceBytes = 4 << 20;
/** The core's matrices are packed in tiles of so many rows, which no piece may split. */
const tileRows = 8;

/** Pieces of so many numbers of a parameter: [first, end) */
function* pieces({ shape }: Parameter, bytesEach: number): Generator<[number, number], void, void> {
  const rows = tileRows * product(shape.slice(1));
  const most = Math.max(Math.floor(pieceBytes / bytesEach / rows), 1) * rows;
  for (let first = 0, count = product(shape); first < count; first += most)
    yield [first, Math.min(first + most, count)];
}

function setPart(handle: Handle<NativeModel>, { index, name }: Parameter, first: number, piece: Float32Array): void {
  const status = handle.call({ piece }, {}, (native, { pointers }) =>
    native.setParameterPart(index, first, piece.length, pointers.piece),
  );
  if (status !== 0) throw new HeadwiseError("invalid-option", `${name}: int8 holds finite numbers alone`);
}

/** Sets a parameter from float32, which becomes the core's format. */
export function setFloats(handle: Handle<NativeModel>, parameter: Parameter, data: Float32Array): void {
  for (const [first, end] of pieces(parameter, 4)) setPart(handle, parameter, first, data.subarray(first, end));
}

/** Sets rows of a matrix in the core's own numbers. `scales`: of int8, one a row. */
export function setRaw(handle: Handle<NativeModel>, parameter: Parameter, data: Numbers, scales?: Float32Array): void {
  const width = product(parameter.shape.slice(1));
  for (const [first, end] of pieces(parameter, data.BYTES_PER_ELEMENT)) {
    const rows = { piece: data.subarray(first, end), scales: scales?.subarray(first / width, end / width) };
    handle.call(rows, {}, (native, { pointers }) =>
      native.setRawRows(parameter.index, first / width, (end - first) / width, pointers.piece, pointers.scales),
    );
  }
}

/** The rows of an int8 matrix, and their scales. */
export function getInt8(handle: Handle<NativeModel>, parameter: Parameter): { data: Int8Array; scales: Float32Array } {
  const width = product(parameter.shape.slice(1));
  const data = new Int8Array(allocate(product(parameter.shape)));
  const scales = new Float32Array(allocate(4 * parameter.shape[0]!));
  for (const [first, end] of pieces(parameter, 1)) {
    const outputs = { words: [Math.ceil((end - first) / 4)], scales: [(end - first) / width] };
    const read = handle.call({}, outputs, (native, staged) => {
      const { words, scales: at } = staged.pointers;
      native.getRawRows(parameter.index, first / width, (end - first) / width, words, at);
      return staged.results("words", "scales");
    });
    data.set(new Int8Array(read.words.data.buffer, 0, end - first), first);
    scales.set(read.scales.data, first / width);
  }
  return { data, scales };
}

/** Copies all parameters into another model of the same shapes. `same`: both have the same number format. */
export function copyParameters(
  from: Handle<NativeModel>,
  to: Handle<NativeModel>,
  parameters: readonly Parameter[],
  same: boolean,
): void {
  for (const parameter of parameters) {
    if (same && isMatrix(parameter)) {
      copyRaw(from, to, parameter);
      continue;
    }
    for (const [first, end] of pieces(parameter, 4)) {
      const { piece } = from.call({}, { piece: [end - first] }, (native, staged) => {
        native.getParameterPart(parameter.index, first, end - first, staged.pointers.piece);
        return staged.results("piece");
      });
      setPart(to, parameter, first, piece.data);
    }
  }
}

/** The numbers as they are, inside the core. */
function copyRaw(from: Handle<NativeModel>, to: Handle<NativeModel>, { index, shape }: Parameter): void {
  const [rows, width] = [shape[0]!, product(shape.slice(1))];
  const most = Math.max(Math.floor(pieceBytes / 4 / width / tileRows), 1) * tileRows;
  for (let first = 0; first < rows; first += most) {
    const count = Math.min(most, rows - first);
    from.call({}, { words: [count * width], scales: [count] }, (native, { pointers }) => {
      native.getRawRows(index, first, count, pointers.words, pointers.scales);
      to.alive().setRawRows(index, first, count, pointers.words, pointers.scales);
    });
  }
}
