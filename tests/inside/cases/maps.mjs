// Rollout, value-weighted attention, and groups of heads.
import { expectError, integers, share } from "./support.mjs";

const text = [5, 9, 11, 40, 7, 22];
const L = text.length;

const multiply = (a, b) => a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));

/** Abnar & Zuidema's rollout of one sequence, in the plainest loops. */
function rolledOut(layers) {
  let rolled = Array.from({ length: L }, (_, i) => Array.from({ length: L }, (_, j) => Number(i === j)));
  for (const { data, shape } of layers) {
    const H = shape.at(-3);
    const mixed = Array.from({ length: L }, (_, i) => {
      const row = Array.from({ length: L }, (_, j) => {
        let sum = 0;
        for (let h = 0; h < H; ++h) sum += data[(h * L + i) * L + j];
        return sum / H + Number(i === j);
      });
      const sum = row.reduce((a, b) => a + b);
      return row.map((value) => value / sum);
    });
    rolled = multiply(mixed, rolled);
  }
  return rolled.flat();
}

export const mapCases = [
  {
    name: "rollout is the product of the mixed weights",
    async run({ hw, expect, golden }) {
      for (const name of ["gpt2", "bert-mlm"]) {
        const model = await hw.openModel((await golden(name)).folder);
        const weightsOf = async (tokens) =>
          (await model.forward(tokens, { capture: { weights: "probabilities" } })).layers.map(({ weights }) => weights);
        const weights = await weightsOf(text);
        const rolled = await hw.rollout(weights);
        expect(rolled.shape).to.deep.equal([L, L]);
        expect(share(rolled.data, rolledOut(weights)), name).to.be.at.most(1e-6);
        for (let i = 0; i < L; ++i) {
          const sum = rolled.data.subarray(i * L, (i + 1) * L).reduce((a, b) => a + b);
          expect(sum, "rows sum to one").to.be.closeTo(1, 1e-5);
        }
        const both = await hw.rollout(await weightsOf(integers([text, [...text].reverse()])));
        expect(both.shape).to.deep.equal([2, L, L]);
        expect(share(both.data.subarray(0, L * L), rolled.data)).to.be.at.most(1e-5);
        const still = await hw.rollout(weights, { residual: 1 });
        still.data.forEach((value, n) => expect(value).to.equal(Number(n % (L + 1) === 0)));
        await model.dispose();
      }
      const refused = (code, parts, ...args) => expectError(expect, code, parts, () => hw.rollout(...args));
      await refused("invalid-option", ["weights", "at least one layer"], []);
      await refused("invalid-shape", ["weights[0]", "[H, L, L]"], [{ data: new Float32Array(6), shape: [1, 2, 3] }]);
      await refused("invalid-option", ["residual"], [{ data: new Float32Array(4), shape: [1, 2, 2] }], { residual: 2 });
    },
  },
  {
    name: "value-weighted attention is the norm of what each key gives",
    async run({ hw, expect, golden }) {
      for (const name of ["gpt2", "llama3", "bert-mlm"]) {
        const whole = await hw.openModel((await golden(name)).folder);
        const model = await whole.prune({ 1: [1] });
        const { layers, embedDim: E } = model.config;
        const H = model.config.heads[0].length;
        await (await model.attention(0)).setHeadGates(Float32Array.from({ length: H }, (_, h) => (h === 1 ? -0.5 : 1)));
        const tokens = integers([text, [...text].reverse()]);
        const weighed = await hw.weighValues(model, tokens);
        const { layers: captured } = await model.forward(tokens, { capture: { weights: "probabilities" } });
        for (let n = 0; n < layers; ++n) {
          const { data, shape } = captured[n].weights;
          expect(weighed[n].shape).to.deep.equal(shape);
          for (const key of [0, 4]) {
            // With all weight on one key a head adds what this key gives.
            const set = { data: Float32Array.from({ length: L }, (_, j) => Number(j === key)), shape: [1, L] };
            const edits = [{ layer: n, at: "weights", set }];
            const one = await model.forward(tokens, { capture: { heads: "contributions", layers: [n] }, edits });
            const given = one.layers[n].heads;
            const theirs = Array.from({ length: data.length / L }, (_, row) => {
              const part = given.data.subarray(row * E, (row + 1) * E);
              return data[row * L + key] * Math.hypot(...part);
            });
            const ours = theirs.map((_, row) => weighed[n].data[row * L + key]);
            expect(share(ours, theirs), `${name}, layer ${n}, key ${key}`).to.be.at.most(1e-5);
          }
        }
        expect((await hw.weighValues(model, text))[0].shape[0], "B of one sequence").to.equal(1);
        await model.dispose();
        await whole.dispose();
      }
    },
  },
  {
    name: "groups of heads: distances are Jensen–Shannon, groups are all heads",
    async run({ hw, expect, golden }) {
      const whole = await hw.openModel((await golden("gpt2")).folder);
      const model = await whole.prune({ 1: [1] });
      const result = await hw.clusterHeads(model, text, { clusters: 3 });
      const { layers } = await model.forward(text, { capture: { weights: "probabilities" } });
      const rowOf = ({ layer, head }, i) => {
        const h = model.config.heads[layer].indexOf(head);
        return Array.from(layers[layer].weights.data.subarray((h * L + i) * L, (h * L + i + 1) * L));
      };
      const entropy = (row) => row.reduce((sum, p) => sum - (p > 0 ? p * Math.log(p) : 0), 0);
      const count = result.heads.length;
      expect(count).to.equal(model.config.heads.flat().length);
      expect(result.distances.shape).to.deep.equal([count, count]);
      for (const [n, m] of [
        [0, 1],
        [2, 7],
        [5, 5],
        [count - 1, 4],
      ]) {
        let sum = 0;
        for (let i = 0; i < L; ++i) {
          const [p, q] = [rowOf(result.heads[n], i), rowOf(result.heads[m], i)];
          sum += entropy(p.map((value, j) => (value + q[j]) / 2)) - (entropy(p) + entropy(q)) / 2;
        }
        expect(result.distances.data[n * count + m]).to.be.closeTo(sum / L, 1e-6);
      }
      const all = Array.from({ length: count }, (_, n) => n);
      const sorted = (list) => [...list].sort((a, b) => a - b);
      expect(sorted(result.order)).to.deep.equal(all);
      for (const clusters of [1, 2, 3, 5, count, 100]) {
        const groups = (await hw.clusterHeads(model, text, { clusters })).clusters;
        expect(groups.length).to.equal(Math.min(clusters, count));
        expect(sorted(groups.flat()), `${clusters} groups`).to.deep.equal(all);
      }
      // Heads of one group are nearer to each other than to others, on average.
      const mean = (pairs) =>
        pairs.reduce((sum, [n, m]) => sum + result.distances.data[n * count + m], 0) / pairs.length;
      const group = all.map((n) => result.clusters.findIndex((each) => each.includes(n)));
      const pairs = all.flatMap((n) => all.slice(0, n).map((m) => [n, m]));
      const [inside, outside] = [true, false].map((same) =>
        mean(pairs.filter(([n, m]) => (group[n] === group[m]) === same)),
      );
      expect(inside).to.be.below(outside);
      await model.dispose();
      await whole.dispose();
    },
  },
];
