// Grouped heads, rotary embedding, ALiBi, softcap, windows, and what becomes of them when heads are pruned.
import * as reference from "../reference.mjs";
import { random } from "../reference.mjs";
import { expectClose, expectError, makeModule } from "./support.mjs";

const plain = { embedDim: 24, numHeads: 6 };

const configs = [
  { ...plain, numKvHeads: 3 },
  { ...plain, numKvHeads: 1, valueHeadDim: 3, bias: "qkv" },
  { ...plain, headGroups: [0, 0, 0, 1, 2, 2] },
  { ...plain, rope: {} },
  { ...plain, headDim: 7, rope: { dim: 4, base: 100 } },
  { ...plain, rope: { interleaved: true } },
  { ...plain, alibi: true }, // for a number of heads that is no power of two
  { ...plain, numHeads: 4, alibi: true },
  { ...plain, softcap: 0.3 },
  { ...plain, numKvHeads: 2, headDim: 9, rope: { dim: 6, interleaved: true }, alibi: true, softcap: 0.5, scale: 0.6 },
];

const stages = ["scores", "capped", "masked", "probabilities"];

/** Forward with every stage of the weights, beside the reference. */
async function check({ expect }, { mha, parameters }, inputs, options, label, more = {}) {
  const [query, key = query, value = key] = inputs;
  for (const stage of stages) {
    const asked = { ...options, return: { weights: stage } };
    const result = await mha.forward(...inputs, asked);
    for (const name of ["output", "weights"]) {
      const expected = (round) =>
        reference.multiHeadAttention(mha.config, parameters, query, key, value, { ...asked, ...more }, round)[name];
      expectClose(expect, result[name], expected, `${label}, ${stage}: ${name}`);
    }
  }
}

const sum = (t) => t.data.reduce((total, x) => total + Math.abs(x), 0);

export const moduleOptionCases = [
  {
    name: "groups, rotary embedding, ALiBi and softcap agree with the reference, by themselves and together",
    async run(context) {
      const [query, memory] = [random([2, 7, 24], 1), random([2, 9, 24], 2)];
      for (const config of configs) {
        const made = await makeModule(context.hw, config);
        const label = JSON.stringify(config);
        await check(context, made, [query], { causal: true, window: { left: 3 } }, `${label} self`);
        const options = { offset: Int32Array.of(4, -2), keyLengths: Int32Array.of(9, 5), window: { right: 4 } };
        await check(context, made, [query, memory], options, `${label} cross`);
        await made.mha.dispose();
      }
    },
  },
  {
    name: "positions are those of the queries, and in self-attention of the keys",
    async run(context) {
      const { hw, expect } = context;
      const made = await makeModule(hw, { ...plain, rope: { dim: 2 } });
      const [query, memory] = [random([2, 5, 24], 1), random([2, 9, 24], 2)];
      const positions = Int32Array.of(7, 0, 3, 3, 1000000, -4, 2, 5, 1, 0);
      await check(context, made, [query], { positions, causal: true }, "self");
      await check(context, made, [query, memory], { positions }, "cross");
      const self = await made.mha.forward(query, { positions });
      expect(await made.mha.forward(query, query, { positions })).to.deep.equal(self);
      // The same numbers, but other tokens: these stand where they stand.
      const narrow = await makeModule(hw, { ...plain, keyDim: 20, rope: {} });
      const tokens = { data: query.data, shape: [2, 6, 20] };
      await check(context, narrow, [query, tokens], { positions }, "the same data in another shape");
      const refused = (code, parts, given) =>
        expectError(expect, code, ["positions", ...parts], () => made.mha.forward(query, { positions: given }));
      await refused("invalid-option", ["Int32Array", "null"], null);
      await refused("invalid-option", ["Int32Array", "[0, 1]"], [0, 1]);
      await refused("invalid-shape", ["10", "5"], new Int32Array(5));
    },
  },
  {
    name: "the slopes of ALiBi are the published ones",
    async run({ hw, expect }) {
      const published = { 1: [8], 2: [4, 8], 3: [4, 8, 2], 4: [2, 4, 6, 8], 6: [2, 4, 6, 8, 1, 3] }; // 2^-n
      for (const [numHeads, exponents] of Object.entries(published)) {
        const mha = await hw.multiHeadAttention({ embedDim: 12, numHeads: Number(numHeads), scale: 0, alibi: true });
        const { weights } = await mha.forward(random([3, 12], 1), { return: { weights: "masked" } });
        exponents.forEach((n, h) =>
          expect([...weights.data.slice(9 * h, 9 * h + 3)]).to.deep.equal([0, -1, -2].map((x) => x * 2 ** -n + 0)),
        );
        expect(mha.config.alibi).to.deep.equal(exponents.map((n) => 2 ** -n));
      }
    },
  },
  {
    name: "pruning: groups, slopes, gates and key/value heads follow the head",
    async run(context) {
      const { hw, expect } = context;
      const { mha } = await makeModule(hw, { ...plain, numKvHeads: 3, alibi: true, rope: {}, softcap: 2 });
      const x = random([2, 5, 24], 1);
      const slopes = reference.alibiSlopes(6);
      const gates = Float32Array.of(1, 2, 0.5, -1, 3, 1);
      await mha.setHeadGates(gates);
      // Which heads go, by their first indices; what is left of the groups then.
      const cases = [
        { remove: [1], numKvHeads: 3, headGroups: [0, 1, 1, 2, 2] },
        { remove: [1, 2], numKvHeads: 3, headGroups: [0, 1, 2, 2] },
        { remove: [1, 2, 5], numKvHeads: 3 }, // even again
        { remove: [2, 3], numKvHeads: 2 }, // a key/value head has left
        { remove: [0, 2, 3, 4, 5], numKvHeads: 1 },
      ];
      for (const { remove, numKvHeads, headGroups } of cases) {
        let pruned = mha;
        for (const head of remove) pruned = await pruned.prune([pruned.keptHeads.indexOf(head)]);
        const kept = [0, 1, 2, 3, 4, 5].filter((h) => !remove.includes(h));
        expect(pruned.keptHeads).to.deep.equal(kept);
        expect(pruned.config.numKvHeads).to.equal(numKvHeads);
        expect(pruned.config.headGroups).to.deep.equal(headGroups);
        expect("headGroups" in pruned.config).to.equal(headGroups !== undefined);
        const parameters = await pruned.parameters();
        expect(parameters["k_proj.weight"].shape).to.deep.equal([4 * numKvHeads, 24]);
        const more = {
          slopes: kept.map((h) => slopes[h]),
          headGates: kept.map((h) => gates[h]),
        };
        await check(context, { mha: pruned, parameters }, [x], { causal: true }, `without ${remove}`, more);
        // As the whole module with those heads gated off.
        await mha.setHeadGates(gates.map((gate, h) => (kept.includes(h) ? gate : 0)));
        const gated = await mha.forward(x);
        const { output } = await pruned.forward(x);
        output.data.forEach((value, n) => expect(value).to.be.closeTo(gated.output.data[n], 1e-5));
        await mha.setHeadGates(gates);
      }
      const none = await mha.prune([0, 1, 2, 3, 4, 5]);
      expect(none.config).to.include({ numHeads: 0, numKvHeads: 0 });
      expect("headGroups" in none.config).to.equal(false);
      expect((await none.parameters())["k_proj.weight"].shape).to.deep.equal([0, 24]);
    },
  },
  {
    name: "a pruned module's configuration makes a module like it",
    async run({ hw, expect }) {
      const { mha } = await makeModule(hw, { ...plain, numKvHeads: 2, rope: { dim: 2 }, softcap: 1 });
      const x = random([5, 24], 1);
      for (const heads of [[0], [0, 1], [0, 3], [3, 4, 5], []]) {
        const pruned = await mha.prune(heads);
        const copy = await hw.multiHeadAttention(pruned.config);
        expect(copy.config).to.deep.equal(pruned.config);
        await copy.setParameters(await pruned.parameters());
        expect(await copy.forward(x)).to.deep.equal(await pruned.forward(x));
      }
      const even = await hw.multiHeadAttention({ ...plain, headGroups: [0, 0, 1, 1, 2, 2] });
      expect(even.config).to.deep.equal((await hw.multiHeadAttention({ ...plain, numKvHeads: 3 })).config);
    },
  },
  {
    name: "closed heads take no part, whichever group they are in",
    async run({ hw, expect }) {
      const { mha, parameters } = await makeModule(hw, {
        ...plain,
        headGroups: [0, 1, 1, 1, 2, 2],
        rope: {},
        alibi: true,
      });
      const x = random([2, 6, 24], 1);
      for (const gates of [
        [0, 1, 0, 2, 1, 1],
        [1, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0],
      ]) {
        await mha.setHeadGates(Float32Array.from(gates));
        const expected = (round) =>
          reference.multiHeadAttention(mha.config, parameters, x, x, x, { headGates: gates }, round).output;
        expectClose(expect, (await mha.forward(x)).output, expected, `gates ${gates}`);
      }
    },
  },
  {
    name: "sequences may be empty: no query gives nothing, no key gives the output bias",
    async run({ hw, expect }) {
      const { mha, parameters } = await makeModule(hw, { ...plain, numKvHeads: 2, rope: {}, alibi: true });
      const nothing = await mha.forward(random([2, 0, 24], 1), { return: { weights: "scores", heads: "values" } });
      expect([nothing.output.shape, nothing.weights.shape]).to.deep.equal([
        [2, 0, 24],
        [2, 6, 0, 0],
      ]);
      const { output, heads } = await mha.forward(random([2, 3, 24], 1), random([2, 0, 24], 2), {
        return: { weights: "probabilities", heads: "values" },
      });
      expect(sum(heads)).to.equal(0);
      output.data.forEach((x, n) => expect(x).to.equal(parameters["out_proj.bias"].data[n % 24]));
    },
  },
];
