// Output is bit-identical for every number of threads, and from call to call.
import { it } from "node:test";
import { expect } from "chai";

import { load } from "../../dist/index.js";
import { random } from "./reference.mjs";

it("1, 2 and 4 threads give the same bits", async () => {
  const results = [];
  for (const threads of [1, 2, 4]) {
    const hw = await load({ threads });
    const mha = hw.multiHeadAttention({ embedDim: 192, numHeads: 6, seed: 3 });
    const x = random([2, 131, 192], 1);
    const options = { causal: true, return: { weights: "probabilities", heads: "contributions" } };
    const result = mha.forward(x, options);
    expect(mha.forward(x, options)).to.deep.equal(result);
    results.push(result, hw.attention(x, x, x, { numHeads: 4 }));
    hw.dispose();
  }
  expect(results[2]).to.deep.equal(results[0]);
  expect(results[4]).to.deep.equal(results[0]);
  expect(results[3]).to.deep.equal(results[1]);
  expect(results[5]).to.deep.equal(results[1]);
});
