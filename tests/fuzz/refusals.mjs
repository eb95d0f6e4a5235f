// Calls that are wrong somewhere: what a call does not take it refuses with the right code, and nothing has changed.
import fc from "fast-check";

import { HeadwiseError } from "../../dist/index.js";
import { product } from "../js/reference.mjs";
import { attentionCase, fill, makeAttention, makeConfig, makeRotary, moduleCase } from "./arbitraries.mjs";
import { rotaryCase, upTo } from "./arbitraries.mjs";
import { expect, expectSame } from "./attention_oracle.mjs";

/** Takes an array's memory away; for good, or because that cannot be, it does nothing. */
function detach(array) {
  try {
    structuredClone(array.buffer, { transfer: [array.buffer] });
  } catch {
    // shared, or gone already
  }
  return array;
}

/** Values of every kind, made afresh. */
const plain = [
  ...[null, true, false, "", "2", "causal", 0n, 2n, NaN, Infinity, -Infinity, -0, -1, 0, 1, 2, 0.5, 1e-50, 1e39],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 31), -(2 ** 53), 1e308],
];
const garbage = [
  ...plain.map((value) => () => value),
  () => undefined,
  () => Symbol("odd"),
  () => () => 1,
  () => ({}),
  () => Object.create(null),
  () => ({ 0: 1, 1: 2, length: 2 ** 53 }),
  () => ({ [Symbol.toStringTag]: "Float32Array", length: 4, byteLength: 16 }),
  () => ({ data: new Float32Array(1), shape: [1] }),
  () => ({ data: null, dims: [2, 2] }),
  () => ({ data: new Float32Array(0), shape: [2 ** 31 - 1, 2 ** 31 - 1, 0, 4] }),
  () => ({ data: new Float32Array(0), shape: [2 ** 53, 1, 0, 4] }),
  () => [],
  () => [1, 2, 3],
  () => [[1], [2]],
  () => [1, , 2],
  () => new Array(2 ** 32 - 1),
  () => ["1", "2"],
  () => [0, 1n],
  () => [2 ** 53, 0],
  () => [-1, -4],
  () => [0.5, 8],
  () => new Date(0),
  () => new Map(),
  () => new Float32Array(3),
  () => Float32Array.of(NaN, 1),
  () => new Float32Array(0),
  () => detach(new Float32Array(4)),
  () => new Float64Array(4),
  () => new Int32Array(2),
  () => Int32Array.of(-1),
  () => Int32Array.of(2 ** 31 - 1, -(2 ** 31)),
  () => new Uint8Array(5),
  () => new BigInt64Array(2),
  () => new DataView(new ArrayBuffer(8)),
  () => new ArrayBuffer(8),
  () => new Float32Array(new SharedArrayBuffer(16)),
  () => new Proxy({}, {}),
];

/** The places in a tree of arguments that can change: [object, key]. Typed arrays are leaves. */
function placesIn(tree, found = []) {
  if (Object.isFrozen(tree)) return found;
  for (const key of Object.keys(tree)) {
    found.push([tree, key]);
    const value = tree[key];
    const isTree = typeof value === "object" && value !== null && !ArrayBuffer.isView(value);
    if (isTree && found.length < 200) placesIn(value, found);
  }
  return found;
}

const define = (object, key, what) =>
  Object.defineProperty(object, key, { enumerable: true, configurable: true, ...what });

/** Changes one place: another value; or a getter that gives another value each time. */
function spoil(args, { place, what, how, more }) {
  const places = placesIn(args);
  const [object, key] = places[place % places.length];
  const before = object[key];
  const value = garbage[what % garbage.length]();
  if (how === "getter") {
    let reads = 0;
    const get = () => (reads++ % (2 + (more % 2)) === 0 ? before : value);
    define(object, key, { get });
  } else if (how === "detach" && ArrayBuffer.isView(before)) {
    // When a later option is read, the array that was checked is gone.
    const last = args.at(-1);
    const get = () => void detach(before);
    if (typeof last === "object" && last !== null) define(last, "keyLengths", { get });
  } else if (how === "unknown" && typeof before === "object" && before !== null && Object.isExtensible(before)) {
    define(before, "windw", { value });
  } else {
    define(object, key, { value });
  }
}

const spoiling = fc.record({
  place: upTo(10_000),
  what: upTo(10_000),
  more: upTo(5),
  how: fc.constantFrom("value", "value", "value", "getter", "detach", "unknown"),
});

/** Calls that are right before they are spoilt: [method's name, arguments]. */
const calls = {
  attention: ({ attention }) => makeAttention(attention).args,
  rotaryEmbedding: ({ rotary }) => makeRotary(rotary).args,
  analyzeHeads: ({ seed }) => [
    fill([1, 2, 3, 4], { seed }),
    { causal: true, offset: 1, keyLengths: Int32Array.of(4), tokens: Int32Array.of(1, 2, 1, 2) },
  ],
  multiHeadAttention: ({ config }) => [makeConfig(config)],
  forward: ({ seed, cached }, cache) =>
    cached
      ? [fill([2, 1, 8], { seed }), { cache, keyLengths: Int32Array.of(1, 0) }]
      : [
          fill([2, 3, 8], { seed }),
          fill([2, 4, 8], { seed }),
          { causal: true, offset: 1, return: { weights: "masked", heads: "values" } },
        ],
  setParameters: ({ seed }) => [{ "q_proj.weight": fill([8, 8], { seed }), "out_proj.bias": fill([8], { seed }) }],
  setHeadGates: () => [Float32Array.of(1, 0)],
  prune: () => [[1]],
  cache: () => [{ batch: 2, capacity: 3 }],
  headImportance: ({ seed }, _, model) => [model, [makeBatch(seed)], { method: "norm", normalize: "layer", seed }],
  pruneByImportance: ({ seed, cached }, _, model) => [
    model,
    cached ? { method: "gradient", batches: [makeBatch(seed)] } : [[1, seed]],
    { fraction: 0.5, batches: [], fineTune: { optimizer: { lr: 0.1 }, steps: 1, batches: [makeBatch(seed + 1)] } },
  ],
};

function makeBatch(seed) {
  const tokens = (length) => Int32Array.from({ length }, (_, n) => (n * seed) % 5);
  return { tokens: { data: tokens(6), shape: [2, 3] }, targets: { data: tokens(6), shape: [2, 3] } };
}

const codes = ["invalid-shape", "invalid-option", "out-of-memory"];

/** Whether what was given back is made of tensors that are whole. */
function checkResult(result) {
  if (ArrayBuffer.isView(result) || typeof result !== "object" || result === null) return;
  if (result.data instanceof Float32Array && Array.isArray(result.shape))
    expect(result.data.length === product(result.shape), `${result.data.length} numbers for [${result.shape}]`);
  for (const value of Object.values(result)) checkResult(value);
}

export const refusal = {
  arbitrary: fc.record({
    method: fc.constantFrom(...Object.keys(calls)),
    ...{ attention: attentionCase, rotary: rotaryCase, config: moduleCase, seed: upTo(99), cached: fc.boolean() },
    spoilings: fc.array(spoiling, { minLength: 1, maxLength: 3 }),
  }),
  check({ hw }, each) {
    const mha = hw.multiHeadAttention({ embedDim: 8, numHeads: 2, rope: {} });
    const cache = mha.cache({ batch: 2, capacity: 3 });
    const model = each.method.endsWith("Importance")
      ? hw.transformer({ vocabSize: 5, contextLength: 3, layers: 1, embedDim: 4, numHeads: 2, seed: each.seed })
      : undefined;
    const args = calls[each.method](each, cache, model);
    for (const spoiling of each.spoilings) spoil(args, spoiling);
    let made;
    try {
      const before = { ...mha.parameters(), ...model?.parameters(), ...model?.gradients() };
      try {
        made = (each.method in hw ? hw : mha)[each.method](...args);
        checkResult(made);
      } catch (error) {
        if (!(error instanceof HeadwiseError)) throw error;
        expect(codes.includes(error.code), `${error.code}: ${error.message}`);
        expect(String(cache.length) === "0,0", "a failed call has changed the cache");
        expect(String(mha.headGates) === "1,1", "a failed call has changed the gates");
        const after = { ...mha.parameters(), ...model?.parameters(), ...model?.gradients() };
        for (const [name, t] of Object.entries(before)) expectSame(after[name], t, name);
      }
    } finally {
      if (typeof made?.dispose === "function") made.dispose();
      made?.model?.dispose();
      model?.dispose();
      cache.dispose();
      mha.dispose();
    }
  },
};
