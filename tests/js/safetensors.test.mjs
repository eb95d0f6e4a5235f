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

function detached(buffer) {
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
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
    await refused("not a JSON object", file("3"));
    await refused("the header has a bracket", file("[]"));
    await refused("not UTF-8", file("{}").fill(255, 8));
    await refused("not JSON", file("\ufeff{}")); // a byte order mark
    await refused('"x": its entry', file({ x: 3 }));
    await refused('"x": its dtype', file({ x: entry({ dtype: 3 }) }, 16));
    await refused('"x": its shape', file({ x: entry({ shape: [2, -2] }) }, 16));
    await refused('"x": its shape', file({ x: entry({ shape: [2, 1.5] }) }, 16));
    await refused('"x": its data_offsets', file({ x: entry({ data_offsets: [0] }) }, 16));
    await refused(['"x"', "0 to 16", "15"], file({ x: entry() }, 15));
    await refused(['"x"', "16", "12"], file({ x: entry({ data_offsets: [0, 12] }) }, 16));
    await refused(['"x"', "overlap", '"y"'], file({ y: entry(), x: entry({ data_offsets: [8, 24] }) }, 24));
    await refused(['"x"', "16 to 20"], file({ y: entry(), x: entry({ data_offsets: [20, 36] }) }, 36));
    await refused("16 to 17", file({ x: entry() }, 17));
    await refused(['"x"', "shape [1, 3] of BF16 needs 6"], file({ x: entry({ dtype: "BF16", shape: [1, 3] }) }, 16));
    await refused("__metadata__", file({ __metadata__: { a: 1 } }));
    await refused("at least 8 bytes, this one 0", detached(new ArrayBuffer(64)));
  });

  it("whose numbers are huge are refused", async () => {
    const refused = (parts, bytes) => expectError(expect, "invalid-file", parts, () => readSafetensors(bytes));
    for (const length of [17n, 2n ** 31n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      const bytes = file({ x: entry() });
      new DataView(bytes.buffer).setBigUint64(0, length === 17n ? BigInt(bytes.length - 7) : length, true);
      await refused("header", bytes);
    }
    for (const huge of [2 ** 53, 2 ** 64, 1e308]) {
      await refused('"x": its shape', file({ x: entry({ shape: [huge, 0], data_offsets: [0, 0] }) }));
      await refused('"x": its data_offsets', file({ x: entry({ data_offsets: [0, huge] }) }, 16));
      await refused('"x": its data_offsets', file({ x: entry({ data_offsets: [huge, huge] }) }, 16));
    }
    const most = 2 ** 53 - 1;
    await refused(['"x"', "0 to 9007199254740991"], file({ x: entry({ data_offsets: [0, most] }) }, 16));
    await refused('"x": shape', file({ x: entry({ shape: [most, most] }) }, 16));
    await refused('"x": shape', file({ x: entry({ shape: Array(40).fill(most) }) }, 16));
    await refused('"x": shape', file({ x: entry({ shape: [...Array(40).fill(most), 0], data_offsets: [0, 0] }) }));
  });

  it("whose header has a name twice are refused: JSON.parse would keep the last", async () => {
    const refused = (key, json) =>
      expectError(expect, "invalid-file", `the header has the key ${key} twice`, () => readSafetensors(file(json, 16)));
    const x = JSON.stringify(entry());
    const y = JSON.stringify(entry({ shape: [4] }));
    await refused('"x"', `{"x":${x},"x":${y}}`);
    await refused('"x"', `{"x":${x},"\\u0078":${y}}`); // the same name, otherwise written
    await refused('"a\\"b"', `{"y":{},"a\\"b":${x},"a\\u0022b":${y}}`);
    await refused('"__proto__"', `{"__proto__":${x},"__proto__":${y}}`);
    await refused('"__metadata__"', `{"__metadata__":{},"x":${x},"__metadata__":{}}`);
    await refused('"dtype"', `{"x":{"dtype":"I32",${x.slice(1)}}`);
    await refused('"format"', `{"__metadata__":{"format":"pt","format":"np"},"x":${x}}`);
    const names = `{"__metadata__":{"x":"a:b","y":"{"},"x":${x}}`; // in other objects, and in strings
    expect(readSafetensors(file(names, 16)).metadata).to.deep.equal({ x: "a:b", y: "{" });
  });

  it("have no metadata where that is null, as for the format's own reader", () => {
    expect(readSafetensors(file({ __metadata__: null })).metadata).to.deep.equal({});
  });

  it("whose header is nested or endless are refused before it takes memory", async () => {
    const refused = (parts, json) => expectError(expect, "invalid-file", parts, () => readSafetensors(file(json)));
    const deep = (count, open, close) => open.repeat(count) + close.repeat(count);
    const before = process.resourceUsage().maxRSS;
    for (const count of [3, 200, 4_000_000]) {
      await refused("the header has a bracket", deep(count, "[", "]"));
      await refused('"x": its entry', `{"y":{},"x":${deep(count, "[", "]")}}`);
      await refused('"x": its entry', `{"x":{"shape":${deep(count, "[", "]")}}}`);
      await refused('"a": its entry', deep(count, '{"a":', "}"));
      await refused('"x": its entry', `{"x":{"shape":[${"{},".repeat(count)}0]}}`);
    }
    await refused("not JSON", '{"x":'.repeat(2));
    await refused('"a\\\\\\"]": its entry', '{"a\\\"]":[[1]]}'); // brackets and quotes in strings are no nesting
    expect(readSafetensors(file(`{"__metadata__":{"a":"${"[{".repeat(99)}"}}`)).names).to.deep.equal([]);
    expect((process.resourceUsage().maxRSS - before) / 1024, "MiB").to.be.lessThan(256); // JSON.parse alone takes 400
  });

  it("of another type fail when that tensor is read", async () => {
    const sizes = {
      F64: 8,
      I64: 8,
      U64: 8,
      I32: 4,
      U32: 4,
      I16: 2,
      U16: 2,
      I8: 1,
      U8: 1,
      BOOL: 1,
      F8_E4M3: 1,
      F4: 0.5,
    };
    const header = {};
    let end = 0;
    for (const [dtype, size] of Object.entries({ ...sizes, "unknown 7": 0.25 })) {
      header[dtype] = { dtype, shape: [4], data_offsets: [end, (end += 4 * size)] };
    }
    header.x = entry({ data_offsets: [end, end + 16] });
    const read = readSafetensors(file(header, end + 16));
    for (const dtype of Object.keys(sizes)) {
      expect(read.info(dtype)).to.deep.equal({ dtype, shape: [4] });
      await expectError(expect, "invalid-file", [`"${dtype}"`, dtype, "F32, F16 and BF16"], () => read.tensor(dtype));
      const short = file({ x: { dtype, shape: [4], data_offsets: [0, 4 * sizes[dtype] - 1] } }, 4 * sizes[dtype] - 1);
      await expectError(expect, "invalid-file", ['"x"', dtype], () => readSafetensors(short));
    }
    await expectError(expect, "invalid-file", "unknown 7", () => read.tensor("unknown 7"));
    expect(read.tensor("x").shape).to.deep.equal([2, 2]);
    await expectError(expect, "invalid-option", '"z"', () => read.tensor("z"));
    await expectError(expect, "invalid-option", '"z"', () => read.info("z"));
  });

  it("of more than 100 MB are read without a copy of the whole", () => {
    const count = 40_000_000; // 160 MB, and then 4 bytes
    const json = JSON.stringify({
      large: { dtype: "F32", shape: [count], data_offsets: [0, 4 * count] },
      small: { dtype: "F32", shape: [], data_offsets: [4 * count, 4 * count + 4] },
    });
    const dataStart = 8 + Math.ceil(json.length / 4) * 4;
    const bytes = new Uint8Array(dataStart + 4 * count + 4).fill(0x20, 8, dataStart);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(dataStart - 8), true);
    new TextEncoder().encodeInto(json, bytes.subarray(8));
    bytes.set([0, 0, 0xe0, 0x40], dataStart + 4 * count);

    const before = process.memoryUsage().arrayBuffers;
    const read = readSafetensors(bytes);
    const [large, small] = [read.tensor("large"), read.tensor("small")];
    expect(process.memoryUsage().arrayBuffers - before).to.be.lessThan(10_000);
    expect(large.data.buffer).to.equal(bytes.buffer);
    expect(large.data.length).to.equal(count);
    expect([...small.data]).to.deep.equal([7]);
  });

  it("whose buffer was transferred say so", async () => {
    const bytes = writeSafetensors({ x: random([2, 2], 1) });
    const read = readSafetensors(bytes);
    detached(bytes.buffer);
    await expectError(expect, "invalid-file", ['"x"', "transferred"], () => read.tensor("x"));
    expect(read.info("x").shape).to.deep.equal([2, 2]);
  });

  it("are not written of anything else", async () => {
    await expectError(expect, "invalid-option", "dtype", () => writeSafetensors({}, { dtype: "F64" }));
    await expectError(expect, "invalid-option", "__metadata__", () =>
      writeSafetensors({ __metadata__: random([1], 1) }),
    );
    await expectError(expect, "invalid-option", "metadata", () => writeSafetensors({}, { metadata: { a: 1 } }));
    await expectError(expect, "invalid-shape", "x", () =>
      writeSafetensors({ x: { data: new Float32Array(3), shape: [2] } }),
    );
    await expectError(expect, "invalid-option", "readSafetensors", () => readSafetensors("file"));
    const large = tensor(new Float32Array(2 ** 28), [2 ** 28]); // 1 GiB, of pages that are never touched
    const many = Object.fromEntries(Array.from({ length: 2 ** 17 }, (_, n) => [n, large]));
    await expectError(expect, "out-of-memory", "bytes", () => writeSafetensors(many));
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
