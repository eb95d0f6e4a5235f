// What callers may hand over, and what is refused: kinds of objects, arrays that lie, every form of token ids, halves.
import { random } from "../reference.mjs";
import { batches, makeTransformer } from "./head_importance.mjs";
import { expectError } from "./support.mjs";

const flat = random([3, 4], 1);
const good = { vocabSize: 11, contextLength: 8, layers: 1, embedDim: 8, numHeads: 2 };

/** Objects that have a kind of their own: none of them holds options. */
const kinds = () => ({
  Map: new Map([["causal", true]]),
  Set: new Set(["causal"]),
  Date: new Date(0),
  RegExp: /causal/,
  Error: new Error("causal"),
  Float32Array: new Float32Array(2),
  ArrayBuffer: new ArrayBuffer(8),
  "[true]": [true],
});

/** An array of two that says it has more: by its class, or by itself. */
const liars = (Type, length) => {
  class Liar extends Type {
    get length() {
      return length;
    }
  }
  const own = new Type(2);
  for (const name of ["length", "byteLength", "byteOffset"]) Object.defineProperty(own, name, { value: length });
  return [new Liar(2), own];
};

/** The wrong calls of options: [what the message names, call with them]. */
const optionCalls = (hw, mha, model) => [
  ["attention", (options) => hw.attention(flat, flat, flat, options)],
  ["window", (window) => hw.attention(flat, flat, flat, { window })],
  ["return", (asked) => hw.attention(flat, flat, flat, { return: asked })],
  ["past", (past) => hw.attention(flat, flat, flat, { past })],
  ["rotaryEmbedding", (options) => hw.rotaryEmbedding(random([1, 2, 3, 4], 1), options)],
  ["analyzeHeads", (options) => hw.analyzeHeads(flat, options)],
  ["multiHeadAttention", (config) => hw.multiHeadAttention(config)],
  ["rope", (rope) => hw.multiHeadAttention({ embedDim: 8, numHeads: 2, rope })],
  ["transformer", (config) => hw.transformer(config)],
  ["adamW", (options) => hw.adamW(options)],
  ["forward", (options) => mha.forward(flat, options)],
  ["return", (asked) => mha.forward(flat, { return: asked })],
  ["backward", (options) => mha.backward(flat, options)],
  ["parameters", (parameters) => mha.setParameters(parameters)],
  ["cache", (options) => mha.cache(options)],
  ["forward", (options) => model.forward([1], options)],
  ["capture", (capture) => model.forward([1], { capture })],
  ["parameters", (parameters) => model.setParameters(parameters)],
  ["prune", (heads) => model.prune(heads)],
  ["save", (options) => model.save(options)],
  ["generate", async (options) => (await model.generate([1], options).next()).value],
  ["headImportance", (options) => hw.headImportance(model, batches, options)],
  ["pruneByImportance", (options) => hw.pruneByImportance(model, [[1, 2]], options)],
  ["fineTune", (fineTune) => hw.pruneByImportance(model, [[1, 2]], { count: 1, batches: [], fineTune })],
];

/** Every place for a value that is no options: [what the message names, call with it]. */
const valueCalls = (hw, mha, model) => [
  ["query", (value) => hw.attention(value, flat, flat)],
  ["mask", (mask) => hw.attention(flat, flat, flat, { mask })],
  ["keyMask", (keyMask) => hw.attention(flat, flat, flat, { keyMask })],
  ["keyLengths", (keyLengths) => hw.attention(flat, flat, flat, { keyLengths })],
  ["headGates", (headGates) => hw.attention(flat, flat, flat, { headGates })],
  ["causal", (causal) => hw.attention(flat, flat, flat, { causal })],
  ["x", (value) => hw.rotaryEmbedding(value)],
  ["weights", (value) => hw.analyzeHeads(value)],
  ["tokens", (tokens) => hw.analyzeHeads(flat, { tokens })],
  ["query", (value) => mha.forward(value)],
  ["cache", (cache) => mha.forward(flat, { cache })],
  ["gradOutput", (value) => mha.backward(value)],
  ["gates", (gates) => mha.setHeadGates(gates)],
  ["q_proj.weight", (value) => mha.setParameters({ "q_proj.weight": value })],
  ["prune", (heads) => mha.prune(heads)],
  ["tokens", (tokens) => model.forward(tokens)],
  ["targets", (targets) => model.evaluate([1], targets)],
  ["optimizer", (optimizer) => model.trainStep([1], [1], optimizer)],
  ["prompt", async (prompt) => (await model.generate(prompt, { maxTokens: 1 }).next()).value],
  ["model", (value) => hw.headImportance(value, batches, { method: "norm" })],
  ["batches", (value) => hw.headImportance(model, value, { method: "norm" })],
  ["batches[0]", (value) => hw.headImportance(model, [value], { method: "norm" })],
  ["loadTransformer", (value) => hw.loadTransformer(value)],
];

async function withObjects(hw, run) {
  const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
  const model = await hw.transformer(good);
  try {
    await mha.forward(flat, { train: true });
    await run(mha, model);
  } finally {
    await mha.dispose();
    await model.dispose();
  }
}

export const argumentCases = [
  {
    name: "a forgotten await is seen wherever a promise is handed over, and nothing has changed",
    alone: true,
    async run({ hw, expect, entry }) {
      await withObjects(hw, async (mha, model) => {
        const before = [await mha.parameters(), await model.parameters(), (await hw.memory()).liveObjects];
        for (const [name, call] of [...optionCalls(hw, mha, model), ...valueCalls(hw, mha, model)]) {
          for (const promise of [Promise.resolve({ causal: true }), { then: () => {} }]) {
            const named = entry === "headwise" ? [name.replace("loadTransformer", "readSafetensors")] : [];
            await expectError(expect, "invalid-option", [...named, "did you forget await?"], () => call(promise));
          }
        }
        expect([await mha.parameters(), await model.parameters(), (await hw.memory()).liveObjects]).to.deep.equal(
          before,
        );
      });
    },
  },
  {
    name: "a Map, a Date, an array and the like hold no options",
    alone: true,
    async run({ hw, expect }) {
      await withObjects(hw, async (mha, model) => {
        const { liveObjects } = await hw.memory();
        for (const [name, call] of optionCalls(hw, mha, model)) {
          for (const [kind, value] of Object.entries(kinds())) {
            await expectError(expect, "invalid-option", [name, "an object", kind], () => call(value));
          }
        }
        expect((await hw.memory()).liveObjects).to.equal(liveObjects);
      });
    },
  },
  {
    name: "an object of a class of yours is read by its getters; one that has nothing to read is refused",
    async run({ hw, expect, entry }) {
      class Options {
        #causal = true;
        get causal() {
          return this.#causal;
        }
      }
      const expected = await hw.attention(flat, flat, flat, { causal: true });
      expect(await hw.attention(flat, flat, flat, new Options())).to.deep.equal(expected);
      expect(await hw.attention(flat, flat, flat, Object.assign(Object.create(null), { causal: true }))).to.deep.equal(
        expected,
      );
      class Settings {
        #causal = true;
        isCausal() {
          return this.#causal;
        }
      }
      if (entry === "headwise")
        await expectError(expect, "invalid-option", ["attention", "object of options"], () =>
          hw.attention(flat, flat, flat, new Settings()),
        );
    },
  },
  {
    name: "a typed array is as long as its memory, whatever it says",
    alone: true,
    async run({ hw, expect }) {
      await hw.attention(random([64, 4], 1), random([64, 4], 2), random([64, 4], 3)); // what is left in memory
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2, rope: {} });
      const model = await hw.transformer({ ...good, vocabSize: 3 });
      for (const length of [12, 3 * 2 ** 18]) {
        for (const data of liars(Float32Array, length)) {
          const x = { data, shape: [length / 4, 4] };
          const refused = (call) => expectError(expect, "invalid-shape", "2", call);
          await refused(() => hw.attention(x, flat, flat));
          await refused(() => hw.attention(flat, flat, flat, { mask: { data, shape: [3, length / 3] } }));
          await refused(() => hw.rotaryEmbedding({ data, shape: [1, 1, length / 4, 4] }));
          await refused(() => hw.analyzeHeads({ data, shape: [1, 1, length / 4, 4] }));
          await refused(() => mha.forward(x));
          await refused(() => mha.setParameters({ "q_proj.weight": { data, shape: [4, 4] } }));
          await refused(() => mha.setParameters({ "q_proj.bias": { data, shape: [length] } }));
        }
        for (const ids of liars(Int32Array, length)) {
          await expectError(expect, "invalid-shape", "2", () => mha.forward(flat, { positions: ids }));
          await expectError(expect, "invalid-shape", "2", () => hw.attention(flat, flat, flat, { keyLengths: ids }));
          expect((await model.forward(ids)).logits.shape).to.deep.equal([2, 3]);
          await expectError(expect, "invalid-shape", "2", () => model.forward({ data: ids, shape: [length] }));
        }
        for (const gates of liars(Float32Array, length)) {
          await mha.setHeadGates(gates);
          await mha.setHeadGates(Float32Array.of(1, 1));
        }
      }
      // And one that says less, or begins elsewhere, is read whole.
      const data = Object.defineProperty(flat.data.slice(), "length", { value: 4 });
      const x = { data, shape: [3, 4] };
      expect(await hw.attention(x, x, x)).to.deep.equal(await hw.attention(flat, flat, flat));
      await mha.dispose();
      await model.dispose();
    },
  },
  {
    name: "arrays are read by index: holes, iterators and methods of their own pass nothing",
    alone: true,
    async run({ hw, expect }) {
      const refused = (code, parts, call) => expectError(expect, code, parts, call);
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
      for (const count of [1, 5_000_000]) {
        const start = performance.now();
        const code = count > 2 ** 20 ? "invalid-shape" : "invalid-option";
        await refused(code, count > 4096 ? `${count}` : "undefined", () =>
          hw.transformer({ ...good, heads: [Array(count)] }),
        );
        await refused(code, count > 2 ** 20 ? `${count}` : "undefined", () => mha.prune(Array(count)));
        expect(performance.now() - start).to.be.below(1000);
      }
      const model = await hw.transformer(good);
      const liar = Object.assign([0, 7], {
        map: () => [0],
        every: () => true,
        find: () => undefined,
        [Symbol.iterator]: function* () {
          yield 0;
        },
      });
      await refused("invalid-option", ["prune, layer 0", "7"], () => model.prune({ 0: liar }));
      await refused("invalid-option", ["heads[0]", "7"], () => hw.transformer({ ...good, heads: [liar] }));
      await refused("invalid-option", ["capture.layers", "7"], () =>
        model.forward([1], { capture: { weights: "scores", layers: liar } }),
      );
      await refused("invalid-option", ["tokens[1]", "99"], () =>
        model.forward(Object.assign([1, 99], { every: () => true })),
      );
      await refused("invalid-option", ["prompt[1]", "99"], async () => {
        await model.generate(Object.assign([1, 99], { map: () => [1] }), { maxTokens: 1 }).next();
      });
      // The same of typed arrays, whose content must be checked.
      const typed = (Type, values, own) => Object.defineProperties(Type.from(values), own);
      const nothing = { value: () => undefined };
      const none = {
        value: function* () {},
      };
      const own = { find: nothing, findIndex: { value: () => -1 }, [Symbol.iterator]: none };
      await refused("invalid-option", ["keyLengths", "1000000"], () =>
        hw.attention(flat, flat, flat, { keyLengths: typed(Int32Array, [1_000_000], own) }),
      );
      const tables = { cos: random([9, 2], 1), sin: random([9, 2], 1) };
      await refused("invalid-option", ["positions", "1000000"], () =>
        hw.rotaryEmbedding(random([1, 2, 3, 4], 1), {
          ...tables,
          positions: typed(Int32Array, [0, 1, 1_000_000], own),
        }),
      );
      await refused("invalid-option", ["gates", "NaN"], async () => {
        await (await model.attention(0)).setHeadGates(typed(Float32Array, [1, NaN], own));
      });
      await model.dispose();
    },
  },
  {
    name: "token ids come in integer arrays of every type, in plain ones, and as tensors",
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const ids = [1, 2, 3, 1, 2, 3];
      const big = ids.map(BigInt);
      const forms = [
        ids,
        ...[Int32Array, Uint8Array, Uint16Array, Uint32Array].map((Type) => Type.from(ids)),
        BigInt64Array.from(big),
      ];
      const optimizer = await hw.adamW({ lr: 0 });
      const once = async (tokens) => ({
        forward: await model.forward(tokens),
        loss: await model.evaluate(tokens, tokens),
        gradients: await model.accumulateGradients(tokens, tokens),
        step: await model.trainStep(tokens, tokens, optimizer),
        importance: await hw.headImportance(model, [{ tokens, targets: tokens }], { method: "gradient" }),
      });
      const prompt = async (tokens) => {
        const list = [];
        for await (const token of model.generate(tokens, { maxTokens: 3, temperature: 0 })) list.push(token);
        return list;
      };
      const row = await once(forms[1]);
      const rows = await once({ data: forms[1], shape: [2, 3] });
      const text = await prompt(forms[1]);
      const weights = random([1, 1, 6, 6], 1);
      weights.data.fill(1 / 6);
      const statistics = await hw.analyzeHeads(weights, { tokens: forms[1] });
      for (const data of forms) {
        expect(await once(data)).to.deep.equal(row);
        for (const t of [
          { data, shape: [2, 3] },
          { data, dims: [2, 3] },
        ])
          expect(await once(t)).to.deep.equal(rows);
        for (const t of [data, { data, shape: [6] }, { data, dims: [1, 6] }])
          expect(await prompt(t)).to.deep.equal(text);
        for (const tokens of [data, { data, shape: [6] }, { data, shape: [1, 6] }, { data, dims: [1, 6] }])
          expect(await hw.analyzeHeads(weights, { tokens })).to.deep.equal(statistics);
      }
      const targets = await model.evaluate(ids, [2, 3, 1, 2, 3, -1]);
      expect(await model.evaluate(ids, BigInt64Array.of(2n, 3n, 1n, 2n, 3n, -1n))).to.deep.equal(targets);
      const refused = (parts, call) => expectError(expect, "invalid-option", parts, call);
      await refused(["tokens[1]", "0 to 10", "11n"], () => model.forward(BigInt64Array.of(1n, 11n)));
      await refused(["tokens[1]", "4294967295"], () => model.forward(Uint32Array.of(1, 2 ** 32 - 1)));
      await refused(["tokens[1]", '"2"'], () => model.forward([1, "2"]));
      await refused(["tokens[1]", "undefined"], () => model.forward([1, , 2]));
      await refused(["tokens", "Int32Array", "Float32Array"], () => model.forward(new Float32Array(2)));
      await expectError(expect, "invalid-shape", ["prompt", "one sequence", "[2, 3]"], () =>
        prompt({ data: ids, shape: [2, 3] }),
      );
      await expectError(expect, "invalid-shape", ["prompt", "at least one token"], () => prompt([]));
      await model.dispose();
      await optimizer.dispose();
    },
  },
  {
    name: "analyzeHeads takes the tokens of a batch as they are",
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const [{ tokens }] = batches;
      const { layers } = await model.forward(tokens, { capture: { weights: "probabilities" } });
      const statistics = await hw.analyzeHeads(layers[0].weights, { tokens, causal: true });
      expect(statistics).to.deep.equal(await hw.analyzeHeads(layers[0].weights, { tokens: tokens.data, causal: true }));
      expect(statistics[0].induction).to.be.a("number");
      const [B, S] = tokens.shape;
      await expectError(expect, "invalid-shape", ["tokens", `[${B}, ${S}]`, `[${S}, ${B}]`], () =>
        hw.analyzeHeads(layers[0].weights, { tokens: { data: tokens.data, shape: [S, B] } }),
      );
      await model.dispose();
    },
  },
  {
    name: "half floats are read wherever a tensor is, as the float32 numbers that they are",
    async run({ hw, expect }) {
      if (typeof Float16Array === "undefined") return; // Node 24, Firefox 129, Safari 18.2, Chrome 135
      const half = (t) => ({ data: Float16Array.from(t.data), shape: t.shape });
      const single = (t) => ({ data: Float32Array.from(t.data), shape: t.shape });
      const x = half(flat);
      const y = single(x);
      const mask = half({ data: flat.data.slice(0, 9), shape: [3, 3] });
      expect(await hw.attention(x, x, x, { mask })).to.deep.equal(await hw.attention(y, y, y, { mask: single(mask) }));
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
      const weight = half(random([4, 4], 3));
      await mha.setParameters({ "q_proj.weight": weight });
      expect((await mha.parameters())["q_proj.weight"]).to.deep.equal(single(weight));
      expect(await mha.forward(x)).to.deep.equal(await mha.forward(y));
      await mha.dispose();
    },
  },
  {
    name: 'the activation "swiglu" is "silu-gated"',
    async run({ hw, expect }) {
      const model = await hw.transformer({ ...good, activation: "swiglu" });
      expect(model.config.activation).to.equal("silu-gated");
      const same = await hw.transformer({ ...good, activation: "silu-gated" });
      expect(await model.forward([1, 2])).to.deep.equal(await same.forward([1, 2]));
      await model.dispose();
      await same.dispose();
    },
  },
  {
    name: "a number out of range is refused with both ends of the range",
    async run({ hw, expect }) {
      const seed = Date.now();
      const parts = ["seed", "from 0 to 4294967295", `${seed}`];
      await expectError(expect, "invalid-option", parts, () =>
        hw.multiHeadAttention({ embedDim: 8, numHeads: 2, seed }),
      );
      await expectError(expect, "invalid-option", parts, () => hw.transformer({ ...good, seed }));
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
      await expectError(expect, "invalid-option", parts, () => mha.forward(flat, { train: true, seed }));
      await mha.dispose();
      await expectError(expect, "invalid-option", ["contextLength", "from 1 to 2147483647"], () =>
        hw.transformer({ ...good, contextLength: 2 ** 31 }),
      );
    },
  },
];
