import type { Tensor } from "headwise";

interface Entry {
  readonly dtype: "F32" | "I8";
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/**
 * The tensors of a safetensors file that tools/model.mjs made: F32 as it is, I8 matrices [rows, columns] times their scales
 * `<matrix>_scale` [rows, blocks], where a block is columns / blocks numbers of a row.
 */
export function readQuantized(file: Uint8Array): { metadata: Record<string, string>; tensors: Record<string, Tensor> } {
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerBytes)));
  const { __metadata__: metadata, ...entries } = header as { __metadata__: Record<string, string> } & {
    [name: string]: Entry;
  };
  const bytesOf = ({ data_offsets: [from, to] }: Entry) => file.slice(8 + headerBytes + from, 8 + headerBytes + to);
  const floatsOf = (entry: Entry) => new Float32Array(bytesOf(entry).buffer);
  const tensors = Object.entries(entries).filter(([name]) => !name.endsWith("_scale"));
  return {
    metadata,
    tensors: Object.fromEntries(
      tensors.map(([name, entry]) => {
        const { dtype, shape } = entry;
        if (dtype === "F32") return [name, { data: floatsOf(entry), shape }];
        const integers = new Int8Array(bytesOf(entry).buffer);
        return [name, { data: scaled(integers, floatsOf(entries[`${name}_scale`])), shape }];
      }),
    ),
  };
}

function scaled(integers: Int8Array, scales: Float32Array): Float32Array {
  const block = integers.length / scales.length;
  const result = new Float32Array(integers.length);
  for (let b = 0; b < scales.length; ++b) {
    for (let i = b * block; i < (b + 1) * block; ++i) result[i] = integers[i] * scales[b];
  }
  return result;
}
