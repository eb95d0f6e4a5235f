// The key/value cache: tokens step by step are the rows of one full causal pass.
import * as reference from "../reference.mjs";
import { random } from "../reference.mjs";
import { expectClose, expectError, makeModule } from "./support.mjs";

const plain = { embedDim: 24, numHeads: 6 };

const configs = [
  [plain, {}],
  [{ ...plain, numKvHeads: 2, rope: {} }, { window: { left: 4 } }],
  [{ ...plain, headDim: 7, rope: { dim: 4, interleaved: true }, softcap: 0.5 }, {}],
  [{ ...plain, headGroups: [0, 1, 1, 1, 2, 2], alibi: true, valueHeadDim: 3 }, { window: { left: 6, right: 0 } }],
];

const lengthOf = async (cache) => [...(cache.getLength ? await cache.getLength() : cache.length)];

/** Tokens [from[b], from[b] + counts[b]) of each row of x [B, T, E], padded to the longest with NaN, which must not matter. */
function take({ data, shape: [B, T, E] }, from, counts) {
  const L = Math.max(...counts);
  const taken = new Float32Array(B * L * E).fill(NaN);
  for (let b = 0; b < B; ++b)
    taken.set(data.subarray((b * T + from[b]) * E, (b * T + from[b] + counts[b]) * E), b * L * E);
  return { data: taken, shape: [B, L, E] };
}

/** Feeds x [B, T, E] to a cache, `steps[n][b]` tokens of row b in step n; the output's rows in the places of the tokens. */
async function feed({ mha, expect }, cache, x, steps, options) {
  const [B, T] = x.shape;
  const from = Array(B).fill(0);
  const output = {
    data: new Float32Array(B * T * mha.config.outputDim).fill(NaN),
    shape: [B, T, mha.config.outputDim],
  };
  for (const counts of steps) {
    const even = counts.every((count) => count === counts[0]);
    const keyLengths = even ? undefined : Int32Array.from(counts);
    const step = await mha.forward(take(x, from, counts), { causal: true, ...options, keyLengths, cache });
    const [, L, E] = step.output.shape;
    for (let b = 0; b < B; ++b) {
      output.data.set(step.output.data.subarray(b * L * E, (b * L + counts[b]) * E), (b * T + from[b]) * E);
      from[b] += counts[b];
    }
    expect(await lengthOf(cache)).to.deep.equal(from);
  }
  return output;
}

const ones = (B, count) => Array.from({ length: count }, () => Array(B).fill(1));

export const cacheCases = [
  {
    name: "tokens through a cache, some at once and then one by one, give the rows of one full causal pass",
    async run({ hw, expect }) {
      const [B, T] = [2, 13];
      const x = random([B, T, 24], 1);
      for (const [config, options] of configs) {
        const { mha, parameters } = await makeModule(hw, config);
        const cache = await mha.cache({ batch: B, capacity: T });
        expect(cache.capacity).to.equal(T);
        const expected = (round) =>
          reference.multiHeadAttention(mha.config, parameters, x, x, x, { causal: true, ...options }, round).output;
        const label = JSON.stringify(config);
        // Many at once are packed, a few are not; rows may lag behind each other and meet again.
        const lagging = [[7, 5], [1, 0], [0, 1], [2, 4], ...ones(B, 3)];
        for (const steps of [
          [[8, 8], ...ones(B, 5)],
          [
            [3, 3],
            [10, 10],
          ],
          lagging,
        ]) {
          expectClose(expect, await feed({ mha, expect }, cache, x, steps, options), expected, `${label} ${steps}`);
          await cache.reset();
          expect(await lengthOf(cache)).to.deep.equal([0, 0]);
        }
        await mha.dispose();
      }
    },
  },
  {
    name: "weights and heads with a cache: S is the longest row, and places without a token count for nothing",
    async run({ hw, expect }) {
      const { mha, parameters } = await makeModule(hw, { ...plain, numKvHeads: 3, alibi: true, softcap: 2 });
      const x = random([2, 9, 24], 1);
      const cache = await mha.cache({ batch: 2, capacity: 12 });
      await mha.forward(random([2, 12, 24], 5), { cache }); // leaves keys behind that nobody may see
      for (const [L, stage] of [
        [1, "scores"],
        [1, "probabilities"],
        [6, "scores"],
        [6, "capped"],
        [6, "masked"],
      ]) {
        await cache.reset();
        await mha.forward(take(x, [0, 0], [3, 1]), { cache, keyLengths: Int32Array.of(3, 1) });
        const step = take(x, [3, 1], [L, L]);
        const mask = random([2, 1, L, 3 + L], 6);
        const { weights, output, heads } = await mha.forward(step, {
          cache,
          causal: true,
          mask,
          return: { weights: stage, heads: "contributions" },
        });
        expect(weights.shape).to.deep.equal([2, 6, L, 3 + L]);
        expect(heads.shape).to.deep.equal([2, 6, L, 24]);
        for (const b of [0, 1]) {
          // One row by itself: its tokens so far as keys, with nothing behind them.
          const [before, S] = [[3, 1][b], [3, 1][b] + L];
          const row = (t, from, to) => ({
            data: t.data.slice((b * 9 + from) * 24, (b * 9 + to) * 24),
            shape: [1, to - from, 24],
          });
          const own = { data: new Float32Array(L * S), shape: [L, S] };
          for (let i = 0; i < L; ++i)
            own.data.set(mask.data.subarray((b * L + i) * (3 + L), (b * L + i) * (3 + L) + S), i * S);
          const options = { causal: true, offset: before, mask: own, return: { weights: stage } };
          const expected = (name) => (round) => {
            const keys = row(x, 0, S);
            const result = reference.multiHeadAttention(
              mha.config,
              parameters,
              row(x, before, S),
              keys,
              keys,
              options,
              round,
            )[name];
            if (name === "output") return result;
            const wide = new Float64Array(6 * L * (3 + L)).fill(stage === "masked" ? -Infinity : 0);
            for (let n = 0; n < 6 * L; ++n) wide.set(result.data.subarray(n * S, (n + 1) * S), n * (3 + L));
            return { data: wide, shape: [1, 6, L, 3 + L] };
          };
          const part = (t) => ({
            data: t.data.slice(b * (t.data.length / 2), (b + 1) * (t.data.length / 2)),
            shape: [1, ...t.shape.slice(1)],
          });
          expectClose(expect, part(weights), expected("weights"), `row ${b}, L = ${L}, ${stage}`);
          expectClose(expect, part(output), expected("output"), `row ${b}, L = ${L}, ${stage}: output`);
        }
      }
    },
  },
  {
    name: "what is remembered is complete: gates may change between steps, and heads that are closed attend later",
    async run({ hw, expect }) {
      // Heads as wide as a tile of the projections: of narrower ones, those beside them would be projected along with them.
      const { mha, parameters } = await makeModule(hw, { ...plain, headDim: 8, numKvHeads: 3, rope: {} });
      const x = random([1, 8, 24], 1);
      const gates = [0, 1, 0.5, 1, 1, 2];
      const cache = await mha.cache({ batch: 1, capacity: 8 });
      await mha.setHeadGates(Float32Array.of(0, 0, 0, 1, 1, 0));
      await mha.forward(take(x, [0], [6]), { cache, causal: true });
      await mha.setHeadGates(Float32Array.from(gates));
      const step = await mha.forward(take(x, [6], [2]), { cache, causal: true });
      const last = (round) => {
        const { output } = reference.multiHeadAttention(
          mha.config,
          parameters,
          x,
          x,
          x,
          { causal: true, headGates: gates },
          round,
        );
        return { data: output.data.slice(6 * 24), shape: [1, 2, 24] };
      };
      expectClose(expect, step.output, last);
    },
  },
  {
    name: "headwise/worker: after a call that was aborted while it ran, the cache goes on as if it had not been",
    async run({ hw, expect, entry }) {
      if (entry === "headwise") return; // no signals there
      const mha = await hw.multiHeadAttention({ embedDim: 64, numHeads: 4 });
      const [x, long] = [random([1, 3, 64], 1), random([1, 4000, 64], 2)];
      const [disturbed, calm] = [
        await mha.cache({ batch: 1, capacity: 4100 }),
        await mha.cache({ batch: 1, capacity: 4100 }),
      ];
      for (const cache of [disturbed, calm]) await mha.forward(take(x, [0], [2]), { cache });
      const controller = new AbortController();
      const pending = mha.forward(long, { cache: disturbed, signal: controller.signal }); // some tenths of a second
      setTimeout(() => controller.abort(), 10);
      await expectError(expect, "aborted", "aborted", () => pending);
      expect(await lengthOf(disturbed)).to.deep.equal([2]);
      const [ours, expected] = [
        await mha.forward(take(x, [2], [1]), { cache: disturbed }),
        await mha.forward(take(x, [2], [1]), { cache: calm }),
      ];
      expect(ours).to.deep.equal(expected);
      for (const object of [disturbed, calm, mha]) await object.dispose();
    },
  },
  {
    name: "given positions, inputs without a batch, no causality, no tokens: all with a cache",
    async run({ hw, expect }) {
      const { mha, parameters } = await makeModule(hw, { ...plain, rope: {} });
      const x = random([1, 6, 24], 1);
      const flat = (t) => ({ data: t.data, shape: t.shape.slice(1) });
      const positions = Int32Array.of(9, 8, 3, 0, 0, 7);
      const cache = await mha.cache({ batch: 1, capacity: 10 });
      const empty = await mha.forward(random([0, 24], 1), { cache, positions: new Int32Array(0) });
      expect(empty.output.shape).to.deep.equal([0, 24]);
      const none = { cache, keyLengths: Int32Array.of(0), positions: Int32Array.of(0, 1) };
      const bias = await mha.forward(flat(take(x, [0], [2])), { ...none, return: { weights: "probabilities" } });
      expect(bias.weights.shape).to.deep.equal([6, 2, 0]);
      bias.output.data.forEach((value, n) => expect(value).to.equal(parameters["out_proj.bias"].data[n % 24]));
      expect(await lengthOf(cache)).to.deep.equal([0]);
      await mha.forward(flat(take(x, [0], [4])), { cache, positions: positions.slice(0, 4) });
      const step = await mha.forward(flat(take(x, [4], [2])), { cache, positions: positions.slice(4) });
      const last = (round) => {
        const { output } = reference.multiHeadAttention(mha.config, parameters, x, x, x, { positions }, round);
        return { data: output.data.slice(4 * 24), shape: [2, 24] };
      };
      expectClose(expect, step.output, last); // the last two see each other
    },
  },
  {
    name: "a module without heads keeps count all the same",
    async run({ hw, expect }) {
      const { mha, parameters } = await makeModule(hw, { ...plain, numKvHeads: 2, rope: {} });
      const none = await mha.prune([0, 1, 2, 3, 4, 5]);
      const cache = await none.cache({ batch: 2, capacity: 4 });
      for (const L of [1, 3]) {
        const { output } = await none.forward(random([2, L, 24], 1), { cache });
        output.data.forEach((value, n) => expect(value).to.equal(parameters["out_proj.bias"].data[n % 24]));
      }
      expect(await lengthOf(cache)).to.deep.equal([4, 4]);
    },
  },
  {
    name: "a call that a cache cannot take says why, and changes nothing",
    async run({ hw, expect }) {
      const { mha } = await makeModule(hw, { ...plain, rope: {} });
      const without = await hw.multiHeadAttention(plain);
      const cache = await mha.cache({ batch: 2, capacity: 6 });
      const [x, more] = [random([2, 5, 24], 1), random([2, 2, 24], 2)];
      const twin = await mha.cache({ batch: 2, capacity: 6 });
      for (const one of [cache, twin]) await mha.forward(x, { cache: one, keyLengths: Int32Array.of(5, 4) });
      const errors = [
        ["invalid-option", ["cache", "5 tokens", "2 new", "capacity of 6"], () => mha.forward(more, { cache })],
        ["invalid-option", ["cache", "another module"], () => without.forward(more, { cache })],
        ["invalid-option", ["cache", "another module"], async () => (await mha.prune([1])).forward(more, { cache })],
        ["invalid-option", ["cache", "self-attention"], () => mha.forward(more, x, { cache })],
        [
          "invalid-option",
          ["cache", "self-attention"],
          () => mha.forward(more, more, random([2, 2, 24], 4), { cache }),
        ],
        ["invalid-option", ["offset", "cache"], () => mha.forward(more, { cache, offset: 5 })],
        ["invalid-shape", ["query", "batch of 2", "1"], () => mha.forward(random([1, 1, 24], 1), { cache })],
        ["invalid-shape", ["query", "batch of 2", "1"], () => mha.forward(random([1, 24], 1), { cache })],
        [
          "invalid-option",
          ["keyLengths", "L = 2", "3"],
          () => mha.forward(more, { cache, keyLengths: Int32Array.of(1, 3) }),
        ],
        [
          "invalid-option",
          ["keyLengths", "from 0", "-1"],
          () => mha.forward(more, { cache, keyLengths: Int32Array.of(-1, 1) }),
        ],
        ["invalid-shape", ["keyLengths", "2", "1"], () => mha.forward(more, { cache, keyLengths: Int32Array.of(1) })],
        ["invalid-option", ["keyLengths", "Int32Array"], () => mha.forward(more, { cache, keyLengths: [1, 1] })],
        [
          "invalid-shape",
          ["positions", "2", "4"],
          () => mha.forward(random([2, 1, 24], 1), { cache, positions: new Int32Array(4) }),
        ],
        [
          "invalid-shape",
          ["mask", "6"],
          () => mha.forward(random([2, 1, 24], 1), { cache, mask: { data: new Uint8Array(7), shape: [7] } }),
        ],
        ...[{}, mha, 3, null, []].map((given) => [
          "invalid-option",
          "cache",
          () => mha.forward(more, { cache: given }),
        ]),
        ["invalid-option", ["cache", '"size"'], () => mha.cache({ batch: 1, capacity: 1, size: 1 })],
        ["invalid-option", ["batch", "undefined"], () => mha.cache()],
        ["invalid-option", ["batch", "0"], () => mha.cache({ batch: 0, capacity: 1 })],
        ["invalid-option", ["capacity", "1.5"], () => mha.cache({ batch: 1, capacity: 1.5 })],
        ["out-of-memory", ["MiB", "keys and values"], () => mha.cache({ batch: 1, capacity: 2 ** 31 - 1 })],
        ["out-of-memory", ["MiB", "keys and values"], () => mha.cache({ batch: 2 ** 31 - 1, capacity: 1 })],
      ];
      for (const [code, parts, call] of errors) await expectError(expect, code, parts, call);
      expect(await lengthOf(cache)).to.deep.equal([5, 4]);
      const last = random([2, 1, 24], 3);
      expect(await mha.forward(last, { cache })).to.deep.equal(await mha.forward(last, { cache: twin }));
      await expectError(expect, "invalid-option", ["6 tokens", "1 new", "6"], () => mha.forward(last, { cache }));
      const options = { cache, keyLengths: Int32Array.of(0, 1) }; // there is room in row 1
      expect((await mha.forward(last, options)).output.shape).to.deep.equal([2, 1, 24]);
      await cache.reset();
      expect((await mha.forward(x, { cache })).output.shape).to.deep.equal([2, 5, 24]);
    },
  },
  {
    name: "a cache's options are read as all options are, from classes with getters too",
    async run({ hw, expect }) {
      const { mha } = await makeModule(hw, plain);
      const x = random([1, 3, 24], 1);
      const [cache, twin] = [await mha.cache({ batch: 1, capacity: 3 }), await mha.cache({ batch: 1, capacity: 3 })];
      class Options {
        get causal() {
          return true;
        }
        get cache() {
          return twin;
        }
      }
      expect(await mha.forward(x, new Options())).to.deep.equal(await mha.forward(x, { causal: true, cache }));
      expect(await lengthOf(twin)).to.deep.equal([3]);
      await cache.reset();
      // The same tensor three times is self-attention, as elsewhere.
      expect((await mha.forward(x, x, x, { cache })).output.shape).to.deep.equal([1, 3, 24]);
    },
  },
  {
    name: "after dispose a cache throws disposed, its module works on; and the other way round",
    async run({ hw, expect, load }) {
      const mha = await hw.multiHeadAttention(plain);
      const x = random([1, 2, 24], 1);
      const [cache, other] = [await mha.cache({ batch: 1, capacity: 4 }), await mha.cache({ batch: 1, capacity: 4 })];
      await mha.forward(x, { cache: other });
      await cache.dispose();
      await cache.dispose();
      for (const call of [() => lengthOf(cache), () => cache.reset(), () => mha.forward(x, { cache })])
        await expectError(expect, "disposed", "cache", call);
      if (Symbol.dispose) {
        const third = await mha.cache({ batch: 1, capacity: 4 });
        third[Symbol.dispose]();
        await expectError(expect, "disposed", "cache", () => lengthOf(third));
      }
      await mha.forward(x, { cache: other });
      await mha.dispose();
      await expectError(expect, "disposed", "module", () => mha.forward(x, { cache: other }));
      await expectError(expect, "disposed", "module", () => mha.cache({ batch: 1, capacity: 4 }));
      expect(await lengthOf(other)).to.deep.equal([4]);
      await other.dispose();

      const own = await load({ threads: 1, simd: hw.info.simd });
      const inside = await own.multiHeadAttention(plain);
      const kept = await inside.cache({ batch: 1, capacity: 4 });
      const outside = await hw.multiHeadAttention(plain);
      await expectError(expect, "invalid-option", ["cache", "another"], () => outside.forward(x, { cache: kept }));
      await own.dispose();
      for (const call of [() => lengthOf(kept), () => kept.reset(), () => inside.cache({ batch: 1, capacity: 4 })])
        await expectError(expect, "disposed", "instance", call);
      await kept.dispose();
    },
  },
];
