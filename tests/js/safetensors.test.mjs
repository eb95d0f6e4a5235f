import { describe, it } from "node:test";
import { expect } from "chai";

import { readSafetensors, tensor, writeSafetensors } from "../../dist/index.js";
import { expectError } from "./cases/support.mjs";
import { random } from "./reference.mjs";

/** A file with this header, padded to an alignment or not, and so many bytes of data. */
function file(header, dataBytes = 0, padding = 0) {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header) + " ".repeat(padding));
  const bytes = Buffer.alloc(8 + json.length + dataBytes);
  bytes.writeBigUInt64LE(BigInt(json.length));
  json.copy(bytes, 8);
  return new Uint8Array(bytes);
}
const entry = (extra = {}) => ({ dtype: "F32", shape: [2, 2], data_offsets: [0, 16], ...extra });

describe("safetensors", () => {
  it("come back as they were written, bit for bit, with metadata, in order", () => {
    const odd = random([3, 5], 1);
    odd.data.set([NaN, Infinity, -0, 1e-45], 0);
    const tensors = {
      ["__proto__"]: random([2], 3),
      "b.weight": odd,
      a: random([1], 2),
      scalar: tensor(Float32Array.of(7), []),
      none: tensor(new Float32Array(0), [0, 4]),
    };
    const bytes = writeSafetensors(tensors, { metadata: { made: "by a test", sign: "ü" } });
    const read = readSafetensors(bytes);
    expect(read.names).to.deep.equal(["__proto__", "b.weight", "a", "scalar", "none"]);
    expect(read.metadata).to.deep.equal({ made: "by a test", sign: "ü" });
    expect(read.info("b.weight")).to.deep.equal({ dtype: "F32", shape: [3, 5] });
    for (const [name, { data, shape }] of Object.entries(tensors)) {
      expect(read.tensor(name).shape).to.deep.equal(shape);
      expect(Buffer.from(read.tensor(name).data.slice().buffer).equals(Buffer.from(data.slice().buffer))).to.equal(
        true,
      );
    }
  });

  it("have the published form: length, JSON, little-endian data, aligned", () => {
    const bytes = writeSafetensors({ x: tensor(Float32Array.of(1, -2), [2]) });
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect((8 + length) % 8).to.equal(0);
    expect(JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)))).to.deep.equal({
      x: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
    });
    expect([...bytes.subarray(8 + length)]).to.deep.equal([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
  });

  it("are read without a copy where alignment allows, and at any alignment", () => {
    const bytes = writeSafetensors({ x: random([2, 2], 1) });
    expect(readSafetensors(bytes).tensor("x").data.buffer).to.equal(bytes.buffer);
    for (const shift of [1, 2, 3, 4]) {
      const moved = new Uint8Array(bytes.length + shift).subarray(shift);
      moved.set(bytes);
      expect(readSafetensors(moved).tensor("x")).to.deep.equal(random([2, 2], 1));
    }
    const pooled = Buffer.concat([Buffer.alloc(1), bytes]).subarray(1); // whose slice() is a view
    expect(readSafetensors(pooled).tensor("x")).to.deep.equal(random([2, 2], 1));
    expect(readSafetensors(bytes.buffer).tensor("x")).to.deep.equal(random([2, 2], 1));
  });

  it("that are malformed are refused with the tensor's name", async () => {
    const refused = (parts, bytes) => expectError(expect, "invalid-file", parts, () => readSafetensors(bytes));
    await refused("8 bytes", new Uint8Array(7));
    await refused("header", file({ x: entry() }, 16).subarray(0, 20));
    await refused("header", new Uint8Array(8).fill(255));
    await refused("not JSON", file("{"));
    await refused("not a JSON object", file("[]"));
    await refused('"x": its entry', file({ x: 3 }));
    await refused('"x": its dtype', file({ x: entry({ dtype: 3 }) }, 16));
    await refused('"x": its shape', file({ x: entry({ shape: [2, -2] }) }, 16));
    await refused('"x": its shape', file({ x: entry({ shape: [2, 1.5] }) }, 16));
    await refused('"x": its data_offsets', file({ x: entry({ data_offsets: [0] }) }, 16));
    await refused(['"x"', "0 to 16", "15"], file({ x: entry() }, 15));
    await refused(['"x"', "16", "12"], file({ x: entry({ data_offsets: [0, 12] }) }, 16));
    await refused(['"x"', "overlap", '"y"'], file({ y: entry(), x: entry({ data_offsets: [8, 24] }) }, 24));
    await refused("__metadata__", file({ __metadata__: { a: 1 } }));
  });

  it("of a type that is not read yet fail when that tensor is read", async () => {
    const read = readSafetensors(
      file({ h: entry({ dtype: "F16", data_offsets: [0, 8] }), x: entry({ data_offsets: [8, 24] }) }, 24),
    );
    expect(read.info("h").dtype).to.equal("F16");
    expect(read.tensor("x").shape).to.deep.equal([2, 2]);
    await expectError(expect, "invalid-file", ['"h"', "F16"], () => read.tensor("h"));
    await expectError(expect, "invalid-option", '"z"', () => read.tensor("z"));
  });

  it("are not written of anything else", async () => {
    await expectError(expect, "invalid-option", "dtype", () => writeSafetensors({}, { dtype: "F16" }));
    await expectError(expect, "invalid-option", "__metadata__", () =>
      writeSafetensors({ __metadata__: random([1], 1) }),
    );
    await expectError(expect, "invalid-option", "metadata", () => writeSafetensors({}, { metadata: { a: 1 } }));
    await expectError(expect, "invalid-shape", "x", () =>
      writeSafetensors({ x: { data: new Float32Array(3), shape: [2] } }),
    );
    await expectError(expect, "invalid-option", "readSafetensors", () => readSafetensors("file"));
  });
});

describe("tensor", () => {
  it("checks the count", async () => {
    const data = new Float32Array(6);
    expect(tensor(data, [2, 3])).to.deep.equal({ data, shape: [2, 3] });
    expect(tensor(data, [2, 3]).data).to.equal(data);
    await expectError(expect, "invalid-shape", ["[2, 2]", "4", "6"], () => tensor(data, [2, 2]));
    await expectError(expect, "invalid-option", "Float32Array", () => tensor([1], [1]));
  });
});
