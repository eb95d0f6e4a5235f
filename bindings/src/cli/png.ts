/** Small pictures of attention weights, as data addresses of PNG files. */
import { crc32, deflateSync } from "node:zlib";

/** From 0 to 1: from white to a dark blue. */
const palette = Uint8Array.from({ length: 3 * 256 }, (_, n) => {
  const share = Math.floor(n / 3) / 255;
  return Math.round(255 + share * ([8, 48, 107][n % 3]! - 255));
});

function chunk(name: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** A pixel for each weight [rows, columns], 0 … 1. */
export function pictureOf(weights: Float32Array, rows: number, columns: number): string {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(columns, 0);
  header.writeUInt32BE(rows, 4);
  header.set([8, 3, 0, 0, 0], 8); // 8 bits, a palette
  const lines = Buffer.alloc(rows * (columns + 1)); // each line begins with its filter: 0, none
  weights.forEach((weight, n) => {
    lines[Math.floor(n / columns) * (columns + 1) + 1 + (n % columns)] = Math.round(
      255 * Math.min(Math.max(weight, 0), 1),
    );
  });
  const parts = [
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    ...[
      chunk("IHDR", header),
      chunk("PLTE", palette),
      chunk("IDAT", deflateSync(lines)),
      chunk("IEND", Buffer.alloc(0)),
    ],
  ];
  return `data:image/png;base64,${Buffer.concat(parts).toString("base64")}`;
}
