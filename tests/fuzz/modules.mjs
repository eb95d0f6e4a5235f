// Properties of modules and their caches.
import fc from "fast-check";

import { alibiSlopes, linear, mergeHeads, multiHeadAttention as reference } from "../js/reference.mjs";
import { fill, isOrdinary, makeConfig, makeVisibility, maybe, moduleCase, stages, upTo } from "./arbitraries.mjs";
import { numbers, visibility } from "./arbitraries.mjs";
import { expect, expectClose, expectSame, expectShape, references } from "./attention_oracle.mjs";

const batched = (t) => (t.shape.length === 4 ? t : { data: t.data, shape: [1, ...t.shape] });

/** Within `tolerance` of the largest number, where two ways of computing have no common rounding. */
function expectNear(ours, theirs, what, tolerance = 1e-5) {
  expectShape(ours, theirs.shape, what);
  const largest = theirs.data.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
  const wrong = ours.data.findIndex((x, n) => !(Math.abs(x - theirs.data[n]) <= tolerance * largest));
  expect(wrong < 0, `${what}[${wrong}]: ${ours.data[wrong]}, not ${theirs.data[wrong]}, largest ${largest}`);
}

/** Gates and biases that are not what they are at first. */
function settle(mha, { gates, seed = 0 }) {
  const biases = Object.entries(mha.parameters()).filter(([name]) => name.endsWith("bias"));
  const changes = Object.fromEntries(biases.map(([name, { shape }]) => [name, fill(shape, { seed })]));
  mha.setParameters(changes);
  const parameters = mha.parameters();
  for (const [name, t] of Object.entries(changes)) expectSame(parameters[name], t, name);
  if (gates) mha.setHeadGates(Float32Array.from(gates.slice(0, mha.numHeads)));
  return parameters;
}

/** Contributions and the bias sum to the output; so do values, gated, through the output projection. */
function checkHeads({ heads, output }, asked, config, parameters, gates) {
  const [B, H, L, width] = heads.shape;
  const bias = parameters["out_proj.bias"];
  const each = { data: Float64Array.from(heads.data), shape: heads.shape };
  if (asked === "values") {
    each.data.forEach((x, n) => (each.data[n] = x * gates[Math.floor(n / (L * width)) % H]));
    expectNear(output, linear(mergeHeads(each), parameters["out_proj.weight"], bias), "values, combined");
    return;
  }
  const sum = { data: new Float64Array(B * L * width), shape: [B, L, width] };
  for (let n = 0; n < sum.data.length; ++n) {
    const [b, rest] = [Math.floor(n / (L * width)), n % (L * width)];
    sum.data[n] = bias ? bias.data[n % width] : 0;
    for (let h = 0; h < H; ++h) sum.data[n] += each.data[(b * H + h) * L * width + rest];
  }
  expectNear(output, sum, "contributions, summed");
}

/** The smaller module computes what gates of 0 compute, with less. */
function checkPruning(mha, heads, forward, gates) {
  const pruned = mha.prune(heads);
  try {
    const kept = gates.filter((_, h) => !heads.includes(h));
    expect(String(pruned.keptHeads) === String([...gates.keys()].filter((h) => !heads.includes(h))), "keptHeads");
    expect(String(pruned.headGates) === String(kept), "gates of a pruned module");
    mha.setHeadGates(gates.map((gate, h) => (heads.includes(h) ? 0 : gate)));
    expectNear(forward(pruned).output, forward(mha).output, "pruned");
  } finally {
    pruned.dispose();
  }
}

const forwardCase = {
  ...{ rank2: fc.boolean(), B: upTo(3), L: upTo(9), S: upTo(12), inputs: upTo(3, 1), numbers, ...visibility },
  ...{ positioned: fc.boolean(), stage: maybe(fc.constantFrom(...stages)), pruned: fc.array(fc.boolean()) },
  heads: maybe(fc.constantFrom("values", "contributions")),
};

function makeForward(each, config) {
  const B = each.rank2 ? 1 : each.B;
  const make = (length, width, more) => {
    const t = fill([B, length, width], { ...each.numbers, seed: each.numbers.seed }, more);
    return each.rank2 ? { data: t.data, shape: t.shape.slice(1) } : t;
  };
  const query = make(each.L, config.embedDim, 0);
  const self = config.keyDim === config.embedDim && config.valueDim === config.embedDim;
  const count = config.keyDim === config.valueDim ? (self ? each.inputs : Math.max(each.inputs, 2)) : 3;
  const S = count === 1 ? each.L : each.S;
  const tensors = [query, make(S, config.keyDim, 1), make(S, config.valueDim, 2)].slice(0, count);
  const extents = [B, config.numHeads, each.L, S];
  const options = {
    ...makeVisibility(each, extents),
    positions:
      config.rope && each.positioned ? Int32Array.from({ length: B * each.L }, (_, n) => (n * 37) % 1000) : undefined,
    return: { weights: each.stage, heads: each.heads },
  };
  return { tensors, extents, options };
}

export const module = {
  arbitrary: fc.tuple(moduleCase, fc.record(forwardCase)),
  check({ hw, threaded }, [moduleOf, each]) {
    const config = makeConfig(moduleOf);
    const mha = hw.multiHeadAttention(config);
    const same = threaded.multiHeadAttention(config);
    try {
      const parameters = settle(mha, moduleOf);
      settle(same, moduleOf);
      const gates = mha.headGates;
      const { tensors, extents, options } = makeForward(each, mha.config);
      const forward = (m) => m.forward(...tensors, options);
      const result = forward(mha);
      const shared = forward(same);
      for (const [name, t] of Object.entries(result)) expectSame(shared[name], t, `${name} of two threads`);
      checkForward(mha.config, parameters, gates, tensors, extents, options, result);
      if (options.return.weights === undefined && tensors.every((t) => t.data.every(isOrdinary))) {
        const heads = [...gates.keys()].filter((h) => each.pruned[h]);
        checkPruning(mha, heads, (m) => m.forward(...tensors, { ...options, mask: undefined, return: {} }), gates);
      }
    } finally {
      mha.dispose();
      same.dispose();
    }
  },
};

function checkForward(config, parameters, headGates, tensors, extents, options, result) {
  const [B, H, L, S] = extents;
  const single = tensors[0].shape.length === 2;
  const { weights, heads } = options.return;
  const leading = single ? [] : [B];
  expectShape(result.output, [...leading, L, config.outputDim], "output");
  if (weights) expectShape(result.weights, [...leading, H, L, S], "weights");
  const width = heads === "values" ? config.valueHeadDim : config.outputDim;
  if (heads) expectShape(result.heads, [...leading, H, L, width], "heads");
  if (!tensors.every((t) => t.data.every(isOrdinary)) || Math.abs(options.offset) > 1e6) return;
  if (options.mask?.data instanceof Float32Array && options.mask.data.some((x) => x !== -Infinity && !isOrdinary(x)))
    return;

  const [query, key = query, value = key] = tensors.map((t) =>
    t.shape.length === 2 ? { data: t.data, shape: [1, ...t.shape] } : t,
  );
  const given = { ...options, headGates, slopes: alibiSlopes(H) };
  const expected = references((round) => reference(config, parameters, query, key, value, given, round));
  expectClose(result.output, expected, "output");
  if (weights) expectClose(result.weights, expected, "weights");
  if (heads) {
    const whole = { heads: batched(result.heads), output: { ...result.output, shape: [B, L, config.outputDim] } };
    checkHeads(whole, heads, config, parameters, headGates);
  }
}

/** Steps of decoding: each of some tokens, of which each row may take fewer. */
export const caching = {
  arbitrary: fc.record({
    config: moduleCase,
    ...{ B: upTo(3, 1), capacity: upTo(12, 1), causal: fc.boolean(), left: maybe(upTo(5)), seed: upTo(99) },
    steps: fc.array(fc.record({ L: upTo(5), fewer: maybe(upTo(9)), reset: fc.constantFrom(false, false, true) }), {
      maxLength: 5,
    }),
  }),
  check({ hw }, { config: moduleOf, B, capacity, causal, left, steps, seed }) {
    const config = makeConfig({ ...moduleOf, keyDim: undefined, valueDim: undefined });
    const mha = hw.multiHeadAttention(config);
    const cache = mha.cache({ batch: B, capacity });
    try {
      settle(mha, moduleOf);
      let tokens = Array.from({ length: B }, () => []); // of each row, all that the cache should hold
      for (const [n, { L, fewer, reset }] of steps.entries()) {
        if (reset) cache.reset();
        if (reset) tokens = tokens.map(() => []);
        const x = fill([B, L, config.embedDim], { seed: 10 * seed + n });
        const rows = (b) => x.data.subarray(b * L * config.embedDim, (b + 1) * L * config.embedDim);
        const counts = tokens.map((_, b) => (fewer === undefined ? L : (fewer + 3 * b) % (L + 1)));
        const keyLengths = fewer === undefined ? undefined : Int32Array.from(counts);
        const options = { causal, window: { left } };
        const full = tokens.some((row, b) => row.length / config.embedDim + counts[b] > capacity);
        let result;
        try {
          result = mha.forward(x, { ...options, cache, keyLengths });
        } catch (error) {
          expect(full && error.code === "invalid-option", `step ${n}: ${error.stack}`);
        }
        expect(full === (result === undefined), `step ${n}: it ${full ? "fits" : "does not fit"}`);
        const before = tokens.map((row) => row.length / config.embedDim);
        if (!full) tokens = tokens.map((row, b) => [...row, ...rows(b).subarray(0, counts[b] * config.embedDim)]);
        expect(
          String(cache.length) === String(tokens.map((row) => row.length / config.embedDim)),
          `length ${cache.length}`,
        );
        if (full) continue;
        expectShape(result.output, [B, L, mha.config.outputDim], "output");
        for (let b = 0; b < B; ++b) {
          const query = { data: rows(b).slice(), shape: [L, config.embedDim] };
          const memory = { data: Float32Array.from(tokens[b]), shape: [before[b] + counts[b], config.embedDim] };
          const whole = mha.forward(query, memory, { ...options, offset: before[b] });
          const width = L * mha.config.outputDim;
          const own = { data: result.output.data.subarray(b * width, (b + 1) * width), shape: whole.output.shape };
          expectNear(own, whole.output, `step ${n}, row ${b}: without the cache`);
        }
      }
    } finally {
      cache.dispose();
      mha.dispose();
    }
  },
};
