// Gradients beside those of jax-js's grad, on configurations that both have. jax-js needs Node 22 or newer: older ones have
// none of these tests, and `npm test` runs this file in newer ones, too.
import { it } from "node:test";
import { expect } from "chai";

import { load } from "../../dist/index.js";
import { makeModule } from "./cases/support.mjs";
import { random } from "./reference.mjs";

const [B, E] = [2, 24];
const projections = ["q_proj", "k_proj", "v_proj", "out_proj"];
const cases = [
  { L: 7, S: 7, H: 4, G: 4 },
  { L: 16, S: 16, H: 6, G: 6, causal: true },
  { L: 9, S: 13, H: 4, G: 4, cross: true },
  { L: 12, S: 12, H: 6, G: 2, causal: true },
  { L: 5, S: 21, H: 3, G: 3, cross: true, masked: true },
  { L: 40, S: 40, H: 1, G: 1, scale: 0.5 },
  { L: 14, S: 14, H: 4, G: 2, causal: true, window: [5, 0] },
  { L: 11, S: 11, H: 3, G: 3, window: [2, 3] },
  { L: 6, S: 10, H: 4, G: 4, cross: true, keyLengths: [10, 7] },
  { L: 8, S: 15, H: 2, G: 2, cross: true, biased: true },
];
const canRun = Number.parseInt(process.versions.node) >= 22;

/** The block in jax-js, as a function of all that has a gradient; weights are [inputs, outputs] as matmul takes them. */
async function jaxGradients(
  { L, S, H, G, causal = false, scale, window, keyLengths, biased, mask },
  inputs,
  parameters,
  gradOutput,
) {
  const jax = await import("@jax-js/jax");
  await jax.init("wasm");
  jax.defaultDevice("wasm");
  const { grad, nn, numpy: np } = jax;
  const D = E / H;
  const array = ({ data, shape }) => np.array(data, { shape });
  const restricted = () => ({
    ...(mask && !biased && { mask: np.array([...mask.data].map(Boolean), { shape: mask.shape }) }),
    ...(biased && { bias: array(mask) }),
    ...(keyLengths && { keyValueSeqLengths: np.array(keyLengths, { dtype: np.int32 }) }),
    ...(window && { localWindowSize: window }),
  });
  const loss = (x) => {
    const project = (name, input) => np.matmul(input, x[`${name}.weight`].transpose()).add(x[`${name}.bias`]);
    const attended = nn.dotProductAttention(
      project("q_proj", x.query).reshape([B, L, H, D]),
      project("k_proj", x.key).reshape([B, S, G, D]),
      project("v_proj", x.value).reshape([B, S, G, D]),
      { isCausal: causal, scale, ...restricted() },
    );
    return project("out_proj", attended.reshape([B, L, E]))
      .mul(array(gradOutput))
      .sum();
  };
  const given = Object.entries({ ...inputs, ...parameters }).map(([name, tensor]) => [name, array(tensor)]);
  const gradients = grad(loss)(Object.fromEntries(given));
  const read = async ([name, value]) => [name, new Float32Array(await value.data())];
  return Object.fromEntries(await Promise.all(Object.entries(gradients).map(read)));
}

/** Expects a gradient: the largest error at most 1e-4 of the largest gradient (or of `largest`), and 1e-6. */
function expectGradient(ours, exact, label, largest) {
  expect(ours.data.length, `${label}: count`).to.equal(exact.length);
  let error = 0;
  for (let n = 0; n < exact.length; ++n) {
    if (!Number.isFinite(ours.data[n])) error = Infinity;
    error = Math.max(error, Math.abs(ours.data[n] - exact[n]));
    largest = Math.max(largest, Math.abs(exact[n]));
  }
  expect(error, `${label}: error beside a largest gradient of ${largest}`).to.be.at.most(1e-4 * largest + 1e-6);
}

for (const given of canRun ? cases : []) {
  it(`gradients are those of jax-js: ${JSON.stringify(given)}`, async () => {
    const { L, S, H, G, causal, cross, scale, window, keyLengths, masked, biased } = given;
    const hw = await load({ threads: 1 });
    const config = { embedDim: E, numHeads: H, numKvHeads: G, ...(scale && { scale }) };
    const { mha, parameters } = await makeModule(hw, config);
    const query = random([B, L, E], 1);
    const key = cross ? random([B, S, E], 2) : query;
    const value = cross ? random([B, S, E], 3) : query;
    const allowed = { data: Uint8Array.from({ length: L * S }, (_, n) => Number(n % 3 !== 0)), shape: [1, 1, L, S] };
    const mask = biased ? random([B, H, L, S], 5) : masked && allowed;
    const visibility = { ...(mask && { mask }), ...(window && { window: { left: window[0], right: window[1] } }) };
    if (keyLengths) visibility.keyLengths = Int32Array.from(keyLengths);
    const gradOutput = random([B, L, E], 4);
    mha.forward(query, key, value, { train: true, causal: causal ?? false, ...visibility });
    const ours = { ...mha.backward(gradOutput), ...mha.gradients() };
    hw.dispose();
    const theirs = await jaxGradients({ ...given, mask }, { query, key, value }, parameters, gradOutput);
    const largest = Math.max(...theirs["k_proj.weight"].map(Math.abs)); // k_proj.bias has none but by rounding
    for (const name of Object.keys(theirs)) {
      expectGradient(ours[name], theirs[name], name, name === "k_proj.bias" ? largest : 0);
    }
    expect(Object.keys(theirs)).to.include.members(projections.map((name) => `${name}.weight`));
  });
}
