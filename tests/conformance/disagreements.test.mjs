// Where Headwise follows ONNX's specification, and ONNX Runtime does otherwise. These fail when ONNX Runtime changes: then
// the differential tests can take in the case.
import { after, before, describe, it } from "node:test";
import { expect } from "chai";

import { load } from "../../dist/index.js";
import { random } from "../js/reference.mjs";
import { runOperator } from "./onnxruntime.mjs";

let hw;
before(async () => (hw = await load()));
after(() => hw.dispose());

const [query, key, value] = [random([1, 1, 2, 4], 1), random([1, 1, 3, 4], 2), random([1, 1, 3, 4], 3)];
const firstRow = (t, width) => [...t.data.slice(0, width)];

describe("where ONNX Runtime does otherwise", () => {
  it("masks shorter than the keys mask the rest: it rejects them", async () => {
    const mask = { data: Uint8Array.of(1, 1, 1, 1), shape: [2, 2] };
    const padded = { data: Uint8Array.of(1, 1, 0, 1, 1, 0), shape: [2, 3] };
    let error;
    await runOperator("Attention", { inputs: [query, key, value, mask] }).catch((caught) => (error = caught));
    expect(error?.message).to.contain("attn_mask");
    expect(hw.attention(query, key, value, { mask })).to.deep.equal(hw.attention(query, key, value, { mask: padded }));
  });

  it("masked scores are -Infinity: it writes the lowest float", async () => {
    const ints = { is_causal: 1, qk_matmul_output_mode: 2 };
    const theirs = await runOperator("Attention", {
      inputs: [query, key, value],
      outputs: [true, false, false, true],
      ints,
    });
    const ours = hw.attention(query, key, value, { causal: true, return: { weights: "masked" } });
    expect(firstRow(theirs[3], 3).slice(1)).to.deep.equal([-3.4028234663852886e38, -3.4028234663852886e38]);
    expect(firstRow(ours.weights, 3).slice(1)).to.deep.equal([-Infinity, -Infinity]);
  });

  it("a single query beside a past is causal, too: it lets it see every key", async () => {
    const [one, past] = [random([1, 1, 1, 4], 1), { key: random([1, 1, 1, 4], 4), value: random([1, 1, 1, 4], 5) }];
    const theirs = await runOperator("Attention", {
      inputs: [one, key, value, undefined, past.key, past.value],
      outputs: [true, true, true, true],
      ints: { is_causal: 1, qk_matmul_output_mode: 3 },
    });
    const ours = hw.attention(one, key, value, { past, causal: true, return: { weights: "probabilities" } });
    expect(theirs[3].data.every((p) => p > 0)).to.equal(true);
    expect([...ours.weights.data].map((p) => p > 0)).to.deep.equal([true, true, false, false]);
  });

  it("rows that see no key are zeros: its MultiHeadAttention takes the mean of the values", async () => {
    const [q, k, v] = [query, key, value].map(({ data, shape }) => ({ data, shape: [1, shape[2], 4] }));
    const theirs = await runOperator("MultiHeadAttention", {
      domain: "com.microsoft",
      inputs: [q, k, v, undefined, { data: Int32Array.of(0), shape: [1] }],
      ints: { num_heads: 1 },
    });
    const ours = hw.attention(q, k, v, { numHeads: 1, keyLengths: Int32Array.of(0) });
    expect(firstRow(theirs[0], 4).every((x) => x !== 0)).to.equal(true);
    expect([...ours.output.data]).to.deep.equal(Array(8).fill(0));
  });
});
