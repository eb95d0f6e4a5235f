// Calls that are wrong somewhere: what a call does not take it refuses with the right code, and nothing has changed. The same
// through both entries.
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

/** A typed array that says of itself what is not so: by its class, or by properties of its own. */
function lying(Type, length) {
  class Liar extends Type {
    get length() {
      return length;
    }
    get byteOffset() {
      return length;
    }
    find() {}
    findIndex() {
      return -1;
    }
    *[Symbol.iterator]() {}
  }
  const own = new Type(3).fill(7);
  for (const name of ["length", "byteLength", "byteOffset"]) Object.defineProperty(own, name, { value: length });
  return [new Liar(3).fill(7), own];
}

/** An array whose own methods hide what it holds. */
const hiding = (...elements) =>
  Object.assign(elements, { map: () => [0], every: () => true, find() {}, *[Symbol.iterator]() {} });

class Settings {
  #causal = true;
  get causal() {
    return this.#causal;
  }
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
  () => new Map([["causal", true]]),
  () => new Set([1]),
  () => /causal/,
  () => new Error("causal"),
  () => Promise.resolve({ causal: true }),
  () => ({ then() {} }),
  () => new Settings(),
  () => new (class {})(),
  () => [Array(1)],
  () => [Array(5_000_000)],
  () => hiding(0, 2 ** 31),
  () => lying(Float32Array, 2 ** 20)[0],
  () => lying(Float32Array, 2 ** 20)[1],
  () => lying(Float32Array, 0)[1],
  () => lying(Int32Array, 2 ** 20)[0],
  () => lying(Int32Array, 1)[1],
  () => ({ data: lying(Float32Array, 2 ** 20)[0], shape: [2 ** 18, 4] }),
  () => ({ data: lying(Int32Array, 64)[1], shape: [64] }),
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

/** The places in a tree of arguments that can change: [object, key]. Typed arrays are leaves, and so is what the library has made. */
function placesIn(tree, found = []) {
  if (Object.isFrozen(tree)) return found;
  for (const key of Object.keys(tree)) {
    found.push([tree, key]);
    const value = tree[key];
    const isTree = typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !("dispose" in value);
    if (isTree && found.length < 200) placesIn(value, found);
  }
  return found;
}

const define = (object, key, what) =>
  Object.defineProperty(object, key, { enumerable: true, configurable: true, ...what });

const wide = { data: new Float32Array(64 * 4096), shape: [1, 64, 4096, 1] };
const small = fill([1, 1, 3, 4], { seed: 1 });

/** What getters do in the middle of a call. Promises are for the worker's entry: what becomes of them is of no interest. */
const callbacks = [
  ({ hw }) => hw.attention(small, small, small),
  ({ mha }) => mha.forward(fill([5, 8], { seed: 2 })),
  ({ hw }) => hw.attention(wide, wide, wide, { return: { weights: "scores" } }), // more memory than there is
  ({ mha }) => mha.dispose(),
  ({ cache }) => cache.dispose(),
  ({ model }) => model.dispose(),
  ({ optimizer }) => optimizer.dispose(),
];

function callBack(callback, objects) {
  try {
    Promise.resolve(callback(objects)).catch(() => {});
  } catch (error) {
    if (!(error instanceof HeadwiseError)) throw error;
  }
}

/** Changes one place: another value; a getter that gives another value each time, or that calls back in. */
function spoil(args, { place, what, how, more }, objects) {
  const places = placesIn(args);
  if (places.length === 0) return;
  const [object, key] = places[place % places.length];
  const before = object[key];
  const value = garbage[what % garbage.length]();
  if (how === "getter") {
    let reads = 0;
    const get = () => (reads++ % (2 + (more % 2)) === 0 ? before : value);
    define(object, key, { get });
  } else if (how === "callback") {
    const callback = callbacks[what % callbacks.length];
    const get = () => (callBack(callback, objects), before);
    define(object, key, { get });
  } else if (how === "detach" && ArrayBuffer.isView(before)) {
    // When a later option is read, the array that was checked is gone.
    const last = args.at(-1);
    const get = () => void detach(before);
    if (Object.isExtensible(last) && !("dispose" in last)) define(last, "keyLengths", { get });
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
  how: fc.constantFrom("value", "value", "value", "getter", "callback", "callback", "detach", "unknown"),
});

function makeBatch(seed) {
  const tokens = (length) => Int32Array.from({ length }, (_, n) => (n * seed) % 5);
  return { tokens: { data: tokens(6), shape: [2, 3] }, targets: { data: tokens(6), shape: [2, 3] } };
}

const withBatch =
  (...more) =>
  ({ seed }) => {
    const { tokens, targets } = makeBatch(seed);
    return [tokens, targets, ...more];
  };

/** Calls that are right before they are spoilt: [what has the method, its name, arguments]. */
const calls = {
  attention: ["hw", "attention", ({ attention }) => makeAttention(attention).args],
  rotaryEmbedding: ["hw", "rotaryEmbedding", ({ rotary }) => makeRotary(rotary).args],
  analyzeHeads: [
    "hw",
    "analyzeHeads",
    ({ seed }) => [
      fill([1, 2, 3, 4], { seed }),
      { causal: true, offset: 1, keyLengths: Int32Array.of(4), tokens: { data: [1, 2, 1, 2], shape: [1, 4] } },
    ],
  ],
  multiHeadAttention: ["hw", "multiHeadAttention", ({ config }) => [makeConfig(config)]],
  transformer: ["hw", "transformer", ({ seed }) => [{ ...modelConfig, seed, heads: [[0]] }]],
  adamW: ["hw", "adamW", () => [{ lr: 0.1, betas: [0.9, 0.99], warmupSteps: 2, totalSteps: 5 }]],
  forward: [
    "mha",
    "forward",
    ({ seed, cached }, { cache }) =>
      cached
        ? [fill([2, 1, 8], { seed }), { cache, keyLengths: Int32Array.of(1, 0) }]
        : [
            fill([2, 3, 8], { seed }),
            fill([2, 4, 8], { seed }),
            {
              ...{ causal: true, offset: 1, return: { weights: "masked", heads: "values" } },
              keyMask: { data: Uint8Array.of(1, 0, 1, 1), shape: [1, 4] },
            },
          ],
  ],
  backward: [
    "mha",
    "backward",
    ({ seed }) => [fill([2, 3, 8], { seed }), { gradWeights: fill([2, 2, 3, 3], { seed }) }],
  ],
  setParameters: [
    "mha",
    "setParameters",
    ({ seed }) => [{ "q_proj.weight": fill([8, 8], { seed }), "out_proj.bias": fill([8], { seed }) }],
  ],
  setHeadGates: ["mha", "setHeadGates", () => [Float32Array.of(1, 0)]],
  prune: ["mha", "prune", () => [[1]]],
  cache: ["mha", "cache", () => [{ batch: 2, capacity: 3 }]],
  modelForward: [
    "model",
    "forward",
    ({ seed }) => [makeBatch(seed).tokens, { capture: { weights: "scores", heads: "values", layers: [0] } }],
  ],
  evaluate: ["model", "evaluate", withBatch()],
  accumulateGradients: ["model", "accumulateGradients", withBatch()],
  trainStep: ["model", "trainStep", (each, { optimizer }) => withBatch(optimizer)(each)],
  modelParameters: ["model", "setParameters", ({ seed }) => [{ "norm.weight": fill([4], { seed }) }]],
  modelPrune: ["model", "prune", () => [{ 0: [1] }]],
  save: ["model", "save", () => [{ dtype: "BF16" }]],
  step: ["optimizer", "step", (_, { mha, model }) => [[mha, model]]],
  headImportance: [
    "hw",
    "headImportance",
    ({ seed }, { model }) => [model, [makeBatch(seed)], { method: "norm", normalize: "layer", seed }],
  ],
  pruneByImportance: [
    "hw",
    "pruneByImportance",
    ({ seed, cached }, { model }) => [
      model,
      cached ? { method: "gradient", batches: [makeBatch(seed)] } : [[1, seed]],
      { fraction: 0.5, batches: [], fineTune: { optimizer: { lr: 0.1 }, steps: 1, batches: [makeBatch(seed + 1)] } },
    ],
  ],
};

const modelConfig = { vocabSize: 5, contextLength: 3, layers: 1, embedDim: 4, numHeads: 2 };

async function makeObjects(hw, seed) {
  const mha = await hw.multiHeadAttention({ embedDim: 8, numHeads: 2, rope: {} });
  const cache = await mha.cache({ batch: 2, capacity: 3 });
  const model = await hw.transformer({ ...modelConfig, seed });
  const optimizer = await hw.adamW({ lr: 0.1 });
  await mha.forward(fill([2, 3, 8], { seed }), { train: true });
  return { hw, mha, cache, model, optimizer };
}

/** What there is of an object, unless a getter has disposed of it. */
async function orNothing(read) {
  try {
    return await read();
  } catch (error) {
    if (error.code !== "disposed") throw error;
    return undefined;
  }
}

/** All that a call could have changed. */
const stateOf = async ({ mha, cache, model }) => ({
  ...(await orNothing(() => mha.parameters())),
  ...(await orNothing(() => mha.gradients())),
  ...(await orNothing(() => model.parameters())),
  length: await orNothing(async () => String(cache.getLength ? await cache.getLength() : cache.length)),
  gates: await orNothing(async () => String(mha.getHeadGates ? await mha.getHeadGates() : mha.headGates)),
});

function expectState(after, before) {
  for (const [name, value] of Object.entries(before)) {
    if (after[name] === undefined) continue;
    if (typeof value === "string") expect(after[name] === value, `a failed call has changed ${name}: ${after[name]}`);
    else expectSame(after[name], value, name);
  }
}

const codes = ["invalid-shape", "invalid-option", "out-of-memory", "disposed", "invalid-file"];

/** Whether what was given back is made of tensors that are whole. */
function checkResult(result) {
  if (typeof result !== "object" || result === null || ArrayBuffer.isView(result) || "dispose" in result) return;
  if (result.data instanceof Float32Array && Array.isArray(result.shape))
    expect(result.data.length === product(result.shape), `${result.data.length} numbers for [${result.shape}]`);
  for (const value of Object.values(result)) checkResult(value);
}

/** Changes what a call is given, and makes it. `entry`: which of the instances it is made with. */
const refusals = (entry) => ({
  arbitrary: fc.record({
    method: fc.constantFrom(...Object.keys(calls)),
    ...{ attention: attentionCase, rotary: rotaryCase, config: moduleCase, seed: upTo(99), cached: fc.boolean() },
    spoilings: fc.array(spoiling, { minLength: 1, maxLength: 3 }),
  }),
  async check({ [entry]: hw }, each) {
    const objects = await makeObjects(hw, each.seed);
    const [owner, method, makeArguments] = calls[each.method];
    const args = makeArguments(each, objects);
    for (const spoiling of each.spoilings) spoil(args, spoiling, objects);
    let made;
    try {
      const before = await stateOf(objects);
      try {
        made = await objects[owner][method](...args);
        checkResult(made);
      } catch (error) {
        if (!(error instanceof HeadwiseError)) throw error;
        expect(codes.includes(error.code), `${error.code}: ${error.message}`);
        expectState(await stateOf(objects), before);
      }
    } finally {
      await made?.dispose?.();
      await made?.model?.dispose();
      for (const name of ["optimizer", "model", "cache", "mha"]) await objects[name].dispose();
    }
  },
});

export const refusal = refusals("hw");
export const workerRefusal = refusals("worker");
