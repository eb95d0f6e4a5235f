import { product, random } from "../reference.mjs";
import { expectError, gatesOf } from "./support.mjs";

const config = { vocabSize: 11, contextLength: 10, layers: 2, embedDim: 16, numHeads: 4, feedForwardDim: 24 };

/** Integers from `least` to `most`, from a seed. */
export function randomIntegers(shape, least, most, seed) {
  const data = Int32Array.from(random([product(shape)], seed).data, (x) => {
    return least + Math.floor(((x + 1) / 2) * (most - least + 1));
  });
  return { data, shape };
}

/** A transformer whose heads matter: with weights as large as those of one that was trained. */
export async function makeTransformer(hw, more = {}, seed = 1) {
  const model = await hw.transformer({ ...config, ...more });
  const parameters = {};
  for (const [n, [name, { shape }]] of Object.entries(await model.parameters()).entries()) {
    const { data } = random(shape, seed + 10 * n);
    const spread = name.endsWith("norm1.weight") || shape.length === 1 ? 1 : 3 / Math.sqrt(shape.at(-1));
    parameters[name] = { data: data.map((x) => x * spread), shape };
  }
  await model.setParameters(parameters);
  return model;
}

/** Three sequences in a batch, some of whose targets do not count, and a sequence of its own. */
export const batches = [
  { tokens: randomIntegers([3, 8], 0, 10, 1), targets: randomIntegers([3, 8], -1, 10, 2) },
  { tokens: randomIntegers([5], 0, 10, 3).data, targets: randomIntegers([5], 0, 10, 4).data },
];

const sequences = [
  ...[0, 1, 2].map((b) => {
    const row = ({ data }) => data.slice(8 * b, 8 * (b + 1));
    return { tokens: row(batches[0].tokens), targets: row(batches[0].targets) };
  }),
  batches[1],
];

export const headCounts = (model) => model.config.heads.map((heads) => heads.length);

/** The mean loss of all targets of batches. */
export async function lossOf(model, given = batches) {
  let [sum, all] = [0, 0];
  for (const { tokens, targets } of given) {
    const { loss, count } = await model.evaluate(tokens, targets);
    [sum, all] = [sum + loss * count, all + count];
  }
  return sum / all;
}

/** The batches with what the model itself says in the place of the targets: then its heads matter to the loss. */
export async function predicted(model) {
  const result = [];
  for (const { tokens } of batches) {
    const { data, shape } = (await model.forward(tokens)).logits;
    const [count, width] = [data.length / shape.at(-1), shape.at(-1)];
    const likeliest = (_, i) => {
      const row = data.subarray(i * width, (i + 1) * width);
      return row.indexOf(Math.max(...row));
    };
    result.push({
      tokens,
      targets: { data: Int32Array.from({ length: count }, likeliest), shape: shape.slice(0, -1) },
    });
  }
  return result;
}

/** What `measure` gives with the gate of one head set, by layer and head; the gates are as before afterwards. */
export async function withGates(model, entry, gateOf, measure) {
  const results = [];
  for (const [n, count] of headCounts(model).entries()) {
    const layer = await model.attention(n);
    const gates = await gatesOf(layer, entry);
    results.push([]);
    for (let h = 0; h < count; ++h) {
      await layer.setHeadGates(gates.map((gate, other) => (other === h ? gateOf(gate) : gate)));
      results[n].push(await measure());
    }
    await layer.setHeadGates(gates);
  }
  return results;
}

/** All that a model is, as plain values. */
export async function stateOf(model, entry) {
  const gates = [];
  for (let n = 0; n < model.config.layers; ++n) gates.push(await gatesOf(await model.attention(n), entry));
  return { parameters: await model.parameters(), gradients: await model.gradients(), gates };
}

const map2 = (values, of) => values.map((layer, n) => layer.map((value, h) => of(value, n, h)));

function expectCloseTo(expect, ours, exact, allowed) {
  expect(ours.map((layer) => layer.length)).to.deep.equal(exact.map((layer) => layer.length));
  const largest = Math.max(...exact.flat().map(Math.abs));
  expect(largest, "a test that can fail").to.be.greaterThan(0.01);
  map2(exact, (value, n, h) =>
    expect(ours[n][h], `layer ${n}, head ${h}`).to.be.closeTo(value, allowed * Math.max(largest, 1e-3)),
  );
}

const variants = [
  {},
  { norm: "rms", activation: "silu-gated", positions: "rotary", numKvHeads: 2, tieEmbeddings: false },
  {
    positions: "alibi",
    feedForwardDim: 0,
    causal: false,
    heads: [
      [1, 3],
      [0, 1, 2],
    ],
  },
];

export const headImportanceCases = [
  {
    name: "headImportance: gradients of the gates agree with central differences",
    async run({ hw, expect, entry }) {
      for (const variant of variants) {
        const model = await makeTransformer(hw, variant);
        await (await model.attention(0)).setHeadGates(new Float32Array(headCounts(model)[0]).fill(0.5));
        const sums = headCounts(model).map((count) => Array(count).fill(0));
        const step = 1 / 64;
        for (const { tokens, targets } of sequences) {
          const loss = async () => (await model.evaluate(tokens, targets)).loss;
          const more = await withGates(model, entry, (gate) => gate + step, loss);
          const less = await withGates(model, entry, (gate) => gate - step, loss);
          map2(sums, (_, n, h) => (sums[n][h] += Math.abs(more[n][h] - less[n][h]) / (2 * step)));
        }
        const exact = map2(sums, (sum) => sum / sequences.length);
        expectCloseTo(expect, await hw.headImportance(model, batches, { method: "gradient" }), exact, 3e-3);
        await model.dispose();
      }
    },
  },
  {
    name: "headImportance: gradient-entropy is, of each sequence, the gradient times the entropy that analyzeHeads gives",
    async run({ hw, expect }) {
      for (const variant of [...variants, { layerOptions: [{ window: { left: 2 } }, {}] }]) {
        const model = await makeTransformer(hw, variant);
        const sums = headCounts(model).map((count) => Array(count).fill(0));
        for (const { tokens, targets } of sequences) {
          const gradients = await hw.headImportance(model, [{ tokens, targets }], { method: "gradient" });
          const { layers } = await model.forward(tokens, { capture: { weights: "probabilities" } });
          for (const [n, { weights }] of layers.entries()) {
            const { window } = model.config.layerOptions[n];
            const heads = await hw.analyzeHeads(weights, { causal: model.config.causal, window });
            heads.forEach(({ entropy }, h) => (sums[n][h] += gradients[n][h] * entropy));
          }
        }
        const exact = map2(sums, (sum) => sum / sequences.length);
        expectCloseTo(expect, await hw.headImportance(model, batches, { method: "gradient-entropy" }), exact, 1e-6);
        await model.dispose();
      }
    },
  },
  {
    name: "headImportance: confidence and norm agree with what forward captures, leave-one-out with gates of 0",
    async run({ hw, expect, entry }) {
      for (const variant of variants) {
        const model = await makeTransformer(hw, variant);
        const [confidence, norms] = [0, 1].map(() => headCounts(model).map((count) => Array(count).fill(0)));
        let queries = 0;
        for (const { tokens } of batches) {
          const { layers } = await model.forward(tokens, {
            capture: { weights: "probabilities", heads: "contributions" },
          });
          for (const [n, { weights, heads }] of layers.entries()) {
            const H = weights.shape.at(-3);
            const addRows = ({ data, shape }, sums, of) => {
              const [length, width] = shape.slice(-2);
              for (let row = 0; row < data.length / width; ++row)
                sums[Math.floor(row / length) % H] += of(data.subarray(row * width, (row + 1) * width));
            };
            addRows(weights, confidence[n], (row) => Math.max(...row));
            addRows(heads, norms[n], (row) => Math.hypot(...row));
          }
          queries += (tokens.data ?? tokens).length;
        }
        const mean = (sums) => map2(sums, (sum) => sum / queries);
        expectCloseTo(
          expect,
          await hw.headImportance(model, batches, { method: "confidence" }),
          mean(confidence),
          1e-5,
        );
        expectCloseTo(expect, await hw.headImportance(model, batches, { method: "norm" }), mean(norms), 1e-5);
        const whole = await lossOf(model);
        const without = await withGates(
          model,
          entry,
          () => 0,
          () => lossOf(model),
        );
        const increases = map2(without, (loss) => loss - whole);
        expectCloseTo(expect, await hw.headImportance(model, batches, { method: "leave-one-out" }), increases, 1e-5);
        await model.dispose();
      }
    },
  },
  {
    name: "headImportance: random numbers come from the seed, layers can be normalised, a layer may have no heads",
    async run({ hw, expect }) {
      const model = await makeTransformer(hw, { heads: [[0, 1, 2, 3], []] });
      const measure = (options) => hw.headImportance(model, batches, options);
      const drawn = await hw.headImportance(model, [], { method: "random" });
      expect(drawn[1]).to.deep.equal([]);
      expect(drawn[0].every((x) => x >= 0 && x < 1)).to.equal(true);
      expect(new Set(drawn[0]).size).to.equal(4);
      expect(await measure({ method: "random", seed: 0 })).to.deep.equal(drawn);
      expect(await measure({ method: "random", seed: 1 })).not.to.deep.equal(drawn);
      for (const method of ["gradient", "gradient-entropy", "confidence", "norm", "leave-one-out"]) {
        const plain = await measure({ method, normalize: "none" });
        const normalized = await measure({ method, normalize: "layer" });
        expect(plain[1], method).to.deep.equal([]);
        expect(Math.hypot(...normalized[0]), method).to.be.closeTo(1, 1e-12);
        const norm = Math.hypot(...plain[0]);
        for (const [h, value] of plain[0].entries()) expect(normalized[0][h]).to.be.closeTo(value / norm, 1e-12);
      }
      await model.dispose();
    },
  },
  {
    name: "headImportance leaves the model as it is, has no use for its dropout, and shows its progress",
    alone: true,
    async run({ hw, expect, entry }) {
      const model = await makeTransformer(hw, { dropout: 0.5 });
      await model.accumulateGradients(batches[0].tokens, batches[0].targets);
      await (await model.attention(1)).setHeadGates(Float32Array.of(1, 0, -2, 1));
      const plain = await makeTransformer(hw);
      await (await plain.attention(1)).setHeadGates(Float32Array.of(1, 0, -2, 1));
      const [before, { liveObjects }] = [await stateOf(model, entry), await hw.memory()];
      for (const [method, steps] of Object.entries({
        ...{ gradient: 4, "gradient-entropy": 4, confidence: 4, norm: 4 },
        "leave-one-out": 2 * 9,
        random: 0,
      })) {
        const progress = [];
        const onProgress = ({ done, total }) => progress.push([done, total]);
        const measured = await hw.headImportance(model, batches, { method, onProgress });
        expect(measured, method).to.deep.equal(await hw.headImportance(plain, batches, { method }));
        expect(progress, method).to.deep.equal(Array.from({ length: steps }, (_, n) => [n + 1, steps]));
      }
      expect(await stateOf(model, entry)).to.deep.equal(before);
      expect((await hw.memory()).liveObjects).to.equal(liveObjects);
      const stop = () => {
        throw new Error("enough");
      };
      let message;
      try {
        await hw.headImportance(model, batches, { method: "leave-one-out", onProgress: stop });
      } catch (error) {
        message = error.message;
      }
      expect(message).to.equal("enough");
      expect(await stateOf(model, entry)).to.deep.equal(before);
      expect((await hw.memory()).liveObjects).to.equal(liveObjects);
      await plain.dispose();
      await model.dispose();
    },
  },
  {
    name: "headImportance refuses a model whose numbers are NaN, rather than find a head the least important",
    alone: true,
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const { liveObjects } = await hw.memory();
      const name = "layers.1.attention.q_proj.weight";
      const { [name]: weight } = await model.parameters();
      await model.setParameters({ [name]: { ...weight, data: weight.data.map((x, n) => (n < 16 ? NaN : x)) } });
      for (const [method, part] of Object.entries({
        gradient: "importance of heads in layer 0 is NaN",
        "gradient-entropy": "weights in layer 1 are NaN",
        confidence: "weights in layer 1 are NaN",
        norm: "importance of heads in layer 1 is NaN",
        "leave-one-out": "loss is NaN",
      })) {
        for (const normalize of ["none", "layer"])
          await expectError(expect, "invalid-option", ["model", part], () =>
            hw.headImportance(model, batches, { method, normalize }),
          );
        await expectError(expect, "invalid-option", ["model", "NaN"], () =>
          hw.pruneByImportance(model, { method, batches }, { count: 1 }),
        );
      }
      expect((await hw.memory()).liveObjects).to.equal(liveObjects);
      await model.dispose();
    },
  },
  {
    name: "headImportance checks its arguments",
    alone: true,
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const [{ tokens, targets }] = batches;
      const method = "gradient";
      const errors = [
        ["invalid-option", ["method", '"gradient"', '"taylor"'], () => [model, batches, { method: "taylor" }]],
        ["invalid-option", ["method", "undefined"], () => [model, batches]],
        ["invalid-option", ["normalize", '"layer"'], () => [model, batches, { method, normalize: "head" }]],
        ["invalid-option", ["seed", "-1"], () => [model, batches, { method, seed: -1 }]],
        ["invalid-option", ["headImportance", '"batches"'], () => [model, batches, { method, batches }]],
        ["invalid-option", "onProgress", () => [model, batches, { method, onProgress: 1 }]],
        ["invalid-option", ["model", "transformer"], () => [{}, batches, { method }]],
        ["invalid-option", ["batches", "an array"], () => [model, { tokens, targets }, { method }]],
        ["invalid-option", ["batches", "at least one"], () => [model, [], { method }]],
        ["invalid-option", "batches[1]", () => [model, [batches[0], undefined], { method }]],
        [
          "invalid-option",
          ["batches[0].tokens[0]", "11"],
          () => [model, [{ tokens: Int32Array.of(11), targets: Int32Array.of(1) }], { method }],
        ],
        [
          "invalid-shape",
          ["batches[1].targets", "[3, 8]"],
          () => [model, [batches[0], { tokens, targets: batches[1].targets }], { method }],
        ],
      ];
      const { liveObjects } = await hw.memory();
      for (const [code, parts, args] of errors)
        await expectError(expect, code, parts, () => hw.headImportance(...args()));
      expect((await hw.memory()).liveObjects).to.equal(liveObjects);
      await model.dispose();
      await expectError(expect, "disposed", "disposed", () => hw.headImportance(model, batches, { method }));
    },
  },
];
