// Shapley values and learned gates, against computations of their own.
import { headCounts, lossOf, makeTransformer, predicted } from "../../js/cases/head_importance.mjs";
import { expectError, share } from "./support.mjs";

const gatesOf = async (model, layer, entry) => {
  const attention = await model.attention(layer);
  return entry === "headwise" ? attention.headGates : attention.getHeadGates();
};

const permutationsOf = (list) =>
  list.length < 2
    ? [list]
    : list.flatMap((first, n) => permutationsOf(list.toSpliced(n, 1)).map((rest) => [first, ...rest]));

/** Mean and standard deviation of what each head saves, over all orders of removal; by a loss for each set of heads. */
async function exactShapley(model, given) {
  const all = headCounts(model).flatMap((count, layer) => Array.from({ length: count }, (_, head) => [layer, head]));
  const losses = new Map();
  const lossWithout = async (gone) => {
    const key = [...gone].sort().join();
    if (!losses.has(key)) {
      for (const [layer, count] of headCounts(model).entries()) {
        const gates = Float32Array.from({ length: count }, (_, head) =>
          gone.includes(all.findIndex(([n, h]) => n === layer && h === head)) ? 0 : 1,
        );
        await (await model.attention(layer)).setHeadGates(gates);
      }
      losses.set(key, await lossOf(model, given));
    }
    return losses.get(key);
  };
  const saved = all.map(() => []);
  for (const order of permutationsOf(all.map((_, n) => n)))
    for (const [place, head] of order.entries())
      saved[head].push((await lossWithout(order.slice(0, place + 1))) - (await lossWithout(order.slice(0, place))));
  losses.clear();
  await lossWithout([]); // opens all gates
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const means = saved.map(mean);
  return {
    means,
    deviations: saved.map((values, n) => Math.sqrt(mean(values.map((value) => (value - means[n]) ** 2)))),
  };
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** mulberry32, as the documentation of `seed` promises no more than that it repeats; the test needs the same noise. */
function uniform(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Hard concrete gates by the formulas of Louizos et al., in double precision; the gradients of gates from `gradients()`. */
async function referenceGates(model, given, { penalty, steps, learningRate, seed }) {
  const counts = headCounts(model);
  const H = counts.reduce((sum, count) => sum + count, 0);
  const [beta, gamma, zeta] = [2 / 3, -0.1, 1.1];
  const a = new Array(H).fill(2);
  const [m, v] = [new Array(H).fill(0), new Array(H).fill(0)];
  const next = uniform(seed);
  const set = async (z) => {
    let first = 0;
    for (const [layer, count] of counts.entries())
      await (await model.attention(layer)).setHeadGates(Float32Array.from(z.slice(first, (first += count))));
  };
  const gate = (logAlpha, u) => {
    const s = sigmoid((Math.log(u / (1 - u)) + logAlpha) / beta);
    return Math.min(1, Math.max(0, s * (zeta - gamma) + gamma));
  };
  const open = (logAlpha) => sigmoid(logAlpha - beta * Math.log(-gamma / zeta));
  for (let t = 1; t <= steps; ++t) {
    const u = a.map(() => next() + 2 ** -33);
    await set(a.map((logAlpha, h) => gate(logAlpha, u[h])));
    await model.zeroGradients();
    const { tokens, targets } = given[(t - 1) % given.length];
    await model.accumulateGradients(tokens, targets);
    const gradients = await model.gradients();
    const slopes = counts.flatMap((_, n) => [...gradients[`layers.${n}.attention.head_gates`].data]);
    for (let h = 0; h < H; ++h) {
      const d = 1e-6; // derivatives of the gate and of the penalty by central differences
      const derivative = (f) => (f(a[h] + d) - f(a[h] - d)) / (2 * d);
      const g = slopes[h] * derivative((x) => gate(x, u[h])) + penalty * derivative(open);
      m[h] = 0.9 * m[h] + 0.1 * g;
      v[h] = 0.999 * v[h] + 0.001 * g * g;
      a[h] -= (learningRate * (m[h] / (1 - 0.9 ** t))) / (Math.sqrt(v[h] / (1 - 0.999 ** t)) + 1e-8);
    }
  }
  const gates = a.map((logAlpha) => Math.min(1, Math.max(0, sigmoid(logAlpha) * (zeta - gamma) + gamma)));
  await set(gates);
  const loss = await lossOf(model, given);
  await set(gates.map(() => 1));
  return { importance: a.map(open), gates, loss };
}

export const pruningCases = [
  {
    name: "Shapley values: sampled ones are near to those of all orders, as near as their standard errors say",
    async run({ hw, expect, entry }) {
      for (const more of [
        { layers: 1, numHeads: 2, headDim: 8 },
        { layers: 2, numHeads: 2, headDim: 8, heads: [[0, 1], [1]], positions: "rotary", norm: "rms" },
        { layers: 2, numHeads: 2, headDim: 8, numKvHeads: 1 },
      ]) {
        const model = await makeTransformer(hw, more);
        const given = await predicted(model);
        const { means, deviations } = await exactShapley(model, given);
        const permutations = 300;
        const found = await hw.shapleyValues(model, given, { permutations, seed: 2 });
        expect(found.importance.map((layer) => layer.length)).to.deep.equal(headCounts(model));
        const [values, errors] = [found.importance.flat(), found.standardErrors.flat()];
        for (const [h, exact] of means.entries()) {
          expect(Math.abs(values[h] - exact), `head ${h} of ${JSON.stringify(more)}`).to.be.at.most(
            4 * errors[h] + 1e-6,
          );
          expect(errors[h], `error of head ${h}`).to.be.closeTo(
            deviations[h] / Math.sqrt(permutations - 1),
            0.15 * (deviations[h] / Math.sqrt(permutations)) + 1e-7,
          );
        }
        expect(Math.max(...deviations), "a test that can fail").to.be.above(1e-3);
        expect(found.loss).to.be.closeTo(await lossOf(model, given), 1e-6);
        const sum = values.reduce((all, value) => all + value, 0);
        expect(sum, "they sum to what all heads save").to.be.closeTo(found.lossWithout - found.loss, 1e-5);
        const again = await hw.shapleyValues(model, given, { permutations, seed: 2 });
        expect(again).to.deep.equal(found);
        const other = await hw.shapleyValues(model, given, { permutations, seed: 3 });
        if (values.length > 2) expect(other.importance).not.to.deep.equal(found.importance);
        expect(await gatesOf(model, 0, entry)).to.deep.equal(new Float32Array(headCounts(model)[0]).fill(1));
        await model.dispose();
      }
    },
  },
  {
    name: "learned gates follow hard concrete variables in double precision, and close heads for a penalty",
    async run({ hw, expect, entry }) {
      for (const more of [
        {},
        {
          positions: "rotary",
          numKvHeads: 2,
          norm: "rms",
          heads: [
            [0, 2],
            [0, 1, 2, 3],
          ],
        },
      ]) {
        const model = await makeTransformer(hw, more);
        const given = await predicted(model);
        const options = { penalty: 0.05, steps: 25, learningRate: 0.2, seed: 7 };
        const found = await hw.learnGates(model, given, options);
        const exact = await referenceGates(model, given, options);
        for (const name of ["importance", "gates"]) {
          expect(found[name].map((layer) => layer.length)).to.deep.equal(headCounts(model));
          expect(share(found[name].flat(), exact[name]), name).to.be.at.most(2e-3);
        }
        expect(found.loss).to.be.closeTo(exact.loss, 2e-3);
        expect(await hw.learnGates(model, given, options)).to.deep.equal(found);
        const other = await hw.learnGates(model, given, { ...options, seed: 8 });
        expect(other.importance).not.to.deep.equal(found.importance);
        const closed = await hw.learnGates(model, given, { penalty: 1000, steps: 40, learningRate: 0.2 });
        expect(closed.gates.flat()).to.deep.equal(closed.gates.flat().map(() => 0));
        const { lossWithout } = await hw.shapleyValues(model, given, { permutations: 2 });
        expect(closed.loss).to.be.closeTo(lossWithout, 1e-5);
        // The model's own gates stay, and count: what its gate shuts has nothing to lose.
        await (await model.attention(1)).setHeadGates(Float32Array.of(1, 0, 1, 1));
        const shut = await hw.learnGates(model, given, { penalty: 0.05, steps: 60, learningRate: 0.2 });
        expect(shut.gates[1][1]).to.equal(0);
        expect([...(await gatesOf(model, 1, entry))]).to.deep.equal([1, 0, 1, 1]);
        await model.dispose();
      }
    },
  },
  {
    name: "what finds heads to prune works on opened models in every number format, with text, progress and signals",
    async run({ hw, expect, golden }) {
      const whole = await hw.openModel((await golden("llama3")).folder);
      const texts = [Int32Array.of(5, 9, 11, 40, 7), Int32Array.of(1, 6, 30, 2)];
      for (const dtype of ["f32", "bf16", "int8"]) {
        const model = await whole.convert({ dtype });
        const { liveObjects } = await hw.memory();
        const shapley = await hw.shapleyValues(model, texts, { permutations: 2 });
        const gates = await hw.learnGates(model, texts, { steps: 3 });
        for (const { importance } of dtype === "f32" ? [shapley, gates] : []) {
          const { model: smaller, removed } = await hw.pruneByImportance(model, importance, { count: 3 });
          const least = importance.flatMap((layer, n) => layer.map((value, h) => ({ layer: n, head: h, value })));
          const [first] = least.sort((x, y) => x.value - y.value);
          expect(removed[0]).to.deep.equal({ layer: first.layer, head: first.head });
          await smaller.dispose();
        }
        expect((await hw.memory()).liveObjects).to.equal(liveObjects);
        await model.dispose();
      }
      for (const [name, options] of [
        ["shapleyValues", { permutations: 2 }],
        ["learnGates", { steps: 5 }],
      ]) {
        const progress = [];
        await hw[name](whole, texts, { ...options, onProgress: (each) => progress.push(each) });
        expect(progress.at(-1).done, name).to.equal(progress.at(-1).total);
        const controller = new AbortController();
        const onProgress = ({ done }) => done === 2 && controller.abort();
        const { liveObjects } = await hw.memory();
        await expectError(expect, "aborted", [], () =>
          hw[name](whole, texts, { ...options, signal: controller.signal, onProgress }),
        );
        expect((await hw.memory()).liveObjects).to.equal(liveObjects);
      }
      const refused = (name, parts, given, options) =>
        expectError(expect, "invalid-option", parts, () => hw[name](whole, given, options));
      await refused("shapleyValues", ["permutations", "1"], texts, { permutations: 1 });
      await refused("shapleyValues", ["shapleyValues", '"steps"'], texts, { steps: 1 });
      await refused("shapleyValues", ["batches", "at least one"], [], {});
      await refused("learnGates", ["penalty", "-1"], texts, { penalty: -1 });
      await refused("learnGates", ["learningRate", "0"], texts, { learningRate: 0 });
      await refused("learnGates", ["tokenizer"], ["a text"], {});
      await whole.dispose();
    },
  },
];
