// ONNX's own cases of Attention (opsets 23 to 25) and RotaryEmbedding (23), at ONNX's own tolerance, in every binary that
// this Node can run.
import { after, before, describe, it } from "node:test";
import { expect } from "chai";
import { relaxedSimd } from "wasm-feature-detect";

import { load } from "../../dist/index.js";
import { compute, folder, readCases, roundToHalf } from "./onnx_cases.mjs";

const cases = readCases();
const simds = (await relaxedSimd()) ? ["simd128", "relaxed"] : ["simd128"];
// Asked for, they must be there; else the closing summary of `npm test` tells that they are not.
const skip = cases === undefined && !process.env.HEADWISE_ONNX_CASES && `there is no ${folder}`;

/** numpy's assert_allclose: |ours - expected| <= atol + rtol * |expected|; infinities and NaN exactly. */
function expectAllClose(ours, expected, { rtol, atol }, slot) {
  expect(ours?.shape, `output ${slot}: shape`).to.deep.equal(expected.shape);
  const round = expected.dtype === "float16" ? roundToHalf : (x) => x;
  const wrong = expected.data.findIndex((value, n) => {
    const own = round(ours.data[n]);
    if (!Number.isFinite(value)) return !Object.is(own, value);
    return !(Math.abs(own - value) <= atol + rtol * Math.abs(value));
  });
  if (wrong >= 0) expect.fail(`output ${slot}[${wrong}]: ${ours.data[wrong]}, not ${expected.data[wrong]}`);
}

describe("ONNX's own cases", { skip }, () => {
  it("all 84 are there", () => expect(cases, folder).to.have.length(84));
  for (const simd of simds) {
    for (const threads of [1, 2]) {
      describe(`${simd}, ${threads} thread${threads > 1 ? "s" : ""}`, () => {
        let hw;
        before(async () => (hw = await load({ simd, threads })));
        after(() => hw.dispose());
        for (const each of cases ?? []) {
          it(each.name, () => {
            const results = compute(hw, each);
            for (const [slot, expected] of Object.entries(each.outputs))
              expectAllClose(results[slot], expected, each, slot);
          });
        }
      });
    }
  }
});
