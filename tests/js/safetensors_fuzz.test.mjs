import { it } from "node:test";
import { expect } from "chai";

import { fuzzSafetensors } from "../fuzz/safetensors.mjs";

it("mutated safetensors files are refused, or read as what they say", () => {
  const { taken, refused } = fuzzSafetensors({ seed: 1, iterations: 10_000 }); // 2 s at most
  expect(taken).to.be.greaterThan(1000);
  expect(refused).to.be.greaterThan(1000);
});
