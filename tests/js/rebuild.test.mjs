// A module is what its config, parameters and gates say: made anew of these, however it was pruned, it is the same.
import { it } from "node:test";
import { expect } from "chai";
import fc from "fast-check";

import { load } from "../../dist/index.js";
import { fill, makeConfig, moduleCase } from "../fuzz/arbitraries.mjs";

const heads = (H) => Array.from({ length: H }, (_, h) => h);
const prunings = fc.array(fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), { maxLength: 2 });

it("a module made anew from config, parameters and gates gives the same outputs, bit for bit", async () => {
  const hw = await load({ threads: 1 });
  const counts = { slopes: 0, headless: 0 };
  const rebuild = (random, masks) => {
    let mha = hw.multiHeadAttention({ ...makeConfig(random), alibi: random.alibi });
    const { embedDim, keyDim, valueDim } = mha.config;
    mha.setHeadGates(Float32Array.from(heads(mha.numHeads), (h) => random.gates?.[h] ?? 1));
    for (const mask of masks) mha = mha.prune(heads(mha.numHeads).filter((h) => mask[h]));
    counts.slopes += Array.isArray(mha.config.alibi) && masks.length > 0 && mha.numHeads > 0;
    counts.headless += mha.numHeads === 0;

    const config = JSON.parse(JSON.stringify(mha.config)); // as through a file
    const again = hw.multiHeadAttention(config);
    again.setParameters(mha.parameters());
    again.setHeadGates(mha.headGates);
    expect(again.config).to.deep.equal(mha.config);
    expect(again.parameterCount).to.equal(mha.parameterCount);
    const inputs = [embedDim, keyDim, valueDim].map((width, seed) => fill([2, 3, width], { seed }));
    const asked = { causal: true, offset: 1, return: { weights: "masked", heads: "values" } };
    expect(again.forward(...inputs, asked)).to.deep.equal(mha.forward(...inputs, asked));
  };
  fc.assert(fc.property(moduleCase, prunings, rebuild), { seed: 7, numRuns: 400 });
  expect(counts.slopes, "pruned modules with slopes").to.be.greaterThan(30);
  expect(counts.headless, "modules without heads").to.be.greaterThan(10);
  hw.dispose();
});

it("a module of many heads is made, and pruned, in time that goes with their number", async () => {
  const hw = await load({ threads: 1 });
  const start = performance.now();
  const mha = hw.multiHeadAttention({ embedDim: 4, numHeads: 100_000, numKvHeads: 50_000, headDim: 1, alibi: true });
  expect(mha.prune([0, 3]).config.numKvHeads).to.equal(50_000);
  expect(performance.now() - start, "ms").to.be.lessThan(5000); // with a step for each pair of heads: 10 s and more
  hw.dispose();
});
