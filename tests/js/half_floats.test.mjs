// float16 and bfloat16 in safetensors files, against the definition of the formats.
import { describe, it } from "node:test";
import { expect } from "chai";

import { readSafetensors, tensor, writeSafetensors } from "../../dist/index.js";

const formats = {
  F16: { fraction: 10, bias: 15 },
  BF16: { fraction: 7, bias: 127 },
};

/** The number that 16 bits stand for. */
function meaning(word, { fraction, bias }) {
  const [exponent, digits] = [(word & 0x7fff) >> fraction, word & ((1 << fraction) - 1)];
  const sign = word >> 15 === 1 ? -1 : 1;
  if (exponent === 2 * bias + 1) return digits === 0 ? sign * Infinity : NaN;
  return sign * (Math.min(exponent, 1) + digits / 2 ** fraction) * 2 ** (Math.max(exponent, 1) - bias);
}

/** All 65,536 words, as a file of one tensor. */
function allWords(dtype, shift) {
  const json = JSON.stringify({ x: { dtype, shape: [65536], data_offsets: [0, 131072] } }).padEnd(80 + shift);
  const bytes = Buffer.alloc(8 + json.length + 131072);
  bytes.writeBigUInt64LE(BigInt(json.length));
  bytes.write(json, 8);
  for (let word = 0; word < 65536; ++word) bytes.writeUInt16LE(word, 8 + json.length + 2 * word);
  return new Uint8Array(bytes);
}

/** What is in the file of one tensor of these numbers. */
function wordsOf(data, dtype) {
  const bytes = writeSafetensors({ x: tensor(data, [data.length]) }, { dtype });
  expect(readSafetensors(bytes).info("x")).to.deep.equal({ dtype, shape: [data.length] });
  return new Uint16Array(bytes.slice(bytes.length - 2 * data.length).buffer);
}

const words = Uint16Array.from({ length: 65536 }, (_, word) => word);

for (const [dtype, format] of Object.entries(formats)) {
  describe(dtype, () => {
    it("is read exactly, every number of it, at any alignment", () => {
      for (const shift of [0, 1]) {
        const { data, shape } = readSafetensors(allWords(dtype, shift)).tensor("x");
        expect(shape).to.deep.equal([65536]);
        const wrong = words.find((word) => !Object.is(data[word], meaning(word, format)));
        expect(wrong, `word ${wrong}`).to.equal(undefined);
      }
    });

    it("comes back as it was, bit for bit, NaN payloads too", () => {
      const { data } = readSafetensors(allWords(dtype, 0)).tensor("x");
      expect(wordsOf(data, dtype)).to.deep.equal(words);
    });

    it("is the nearest there is, and the even one of two", () => {
      // Between neighbours: the middle, and the floats next to it. Greater magnitude is the next word, for either sign.
      const last = ((2 * format.bias + 1) << format.fraction) - 1; // the greatest finite number
      const magnitudes = [...words.slice(0, last + 1)];
      const next = (word) =>
        word === last ? 2 * meaning(last, format) - meaning(last - 1, format) : meaning(word + 1, format);
      const bits = new Uint32Array(1);
      const float = new Float32Array(bits.buffer);
      const neighbour = (value, step) => {
        float[0] = value;
        bits[0] += step;
        return float[0];
      };
      const middles = magnitudes.map((word) => (meaning(word, format) + next(word)) / 2);
      const expected = {
        [-1]: (word) => word,
        [0]: (word) => word + (word & 1),
        [1]: (word) => word + 1,
      };
      for (const [step, wordOf] of Object.entries(expected)) {
        for (const sign of [1, -1]) {
          const data = Float32Array.from(middles, (middle) => sign * neighbour(middle, Number(step)));
          const signBit = sign === 1 ? 0 : 0x8000;
          const wanted = Uint16Array.from(magnitudes, (word) => wordOf(word) | signBit);
          expect(wordsOf(data, dtype), `step ${step}, sign ${sign}`).to.deep.equal(wanted);
        }
      }
    });

    it("is written from where the numbers begin in their buffer", () => {
      const buffer = Float32Array.of(9, 9, 9, 1, -2, 0.5, 9).buffer;
      for (const data of [new Float32Array(buffer, 12, 3), new Float32Array(buffer).subarray(3, 6)]) {
        const values = Array.from(wordsOf(data, dtype), (word) => meaning(word, format));
        expect(values).to.deep.equal([1, -2, 0.5]);
      }
    });

    it("has infinity for what is greater, zero for what is smaller, NaN for NaN", () => {
      const nan = new Float32Array(Uint32Array.of(0x7f800001, 0xffffffff).buffer); // payloads that do not fit
      const data = Float32Array.of(Infinity, -Infinity, 3.4028234e38, -3.4028234e38, 1e-45, -1e-45, 0, -0, ...nan);
      data.set(nan, 8);
      const values = Array.from(wordsOf(data, dtype), (word) => meaning(word, format));
      expect(values).to.deep.equal([Infinity, -Infinity, Infinity, -Infinity, 0, -0, 0, -0, NaN, NaN]);
    });

    if (dtype !== "F16" || !globalThis.Float16Array) return; // newer engines have it

    it("agrees with the engine's own Float16Array", () => {
      const bits = Uint32Array.from({ length: 1 << 20 }, (_, n) => Math.imul(n, 0x9e3779b1));
      const data = new Float32Array(bits.buffer).map((value) => (Number.isNaN(value) ? 0 : value));
      expect(wordsOf(data, dtype)).to.deep.equal(new Uint16Array(new globalThis.Float16Array(data).buffer));
    });
  });
}
