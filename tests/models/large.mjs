// A model of 2 GB that takes no room: 64 tensors of zeros but for the last byte.
import { open } from "node:fs/promises";

export const tensorBytes = 32 << 20;
export const tensorCount = 64;

/** The file up to its data, and its size, of so many tensors. */
export function largeFile(tensors = tensorCount) {
  const names = Array.from({ length: tensors }, (_, n) => [
    `layer.${n}.weight`,
    { dtype: "F32", shape: [2048, 4096], data_offsets: [n * tensorBytes, (n + 1) * tensorBytes] },
  ]);
  const json = Buffer.from(JSON.stringify(Object.fromEntries(names)));
  const head = Buffer.concat([Buffer.from(new BigUint64Array([BigInt(json.length)]).buffer), json]);
  return { head, size: head.length + tensors * tensorBytes };
}

/** Writes it, sparse. */
export async function writeLarge(path) {
  const { head, size } = largeFile();
  const file = await open(path, "w");
  await file.write(head);
  await file.write(Buffer.from([7]), 0, 1, size - 1);
  await file.close();
}
