// Head detection, composition and the circuits of heads.
import { expectError, expectNear, opened, share } from "./support.mjs";

const patternOf = { previous: "previous_token_head", duplicate: "duplicate_token_head", induction: "induction_head" };

/** The largest distance from one of our eigenvalues to the nearest of theirs that no other has taken, as a share of the largest. */
function apart(ours, theirs) {
  const left = Array.from({ length: theirs.length / 2 }, (_, n) => [theirs[2 * n], theirs[2 * n + 1]]);
  const largest = Math.max(...left.map(([re, im]) => Math.hypot(re, im)));
  let most = 0;
  for (let n = 0; n < ours.length; n += 2) {
    const distances = left.map(([re, im]) => Math.hypot(re - ours[n], im - ours[n + 1]));
    const nearest = distances.indexOf(Math.min(...distances));
    most = Math.max(most, distances[nearest]);
    left.splice(nearest, 1);
  }
  return most / largest;
}

/** W_E first second W_U of a model without layer norm's centring, by the plainest loops: [V, V]. */
function circuitOf(
  parameters,
  { embedDim: E, headDim: D, vocabSize: V, numHeads: H, numKvHeads: G },
  layer,
  head,
  tied,
) {
  const at = (name) => parameters[name].data;
  const embedding = at("embedding.weight");
  const output = at(tied ? "embedding.weight" : "head.weight");
  const [value, out] = ["v", "out"].map((name) => at(`layers.${layer}.attention.${name}_proj.weight`));
  const [norm, last] = [at(`layers.${layer}.norm1.weight`), at("norm.weight")];
  const g = Math.floor((head * G) / H);
  const rows = Array.from({ length: V }, (_, s) => {
    const values = Array.from({ length: D }, (_, d) => {
      let sum = 0;
      for (let e = 0; e < E; ++e) sum += embedding[s * E + e] * norm[e] * value[(g * D + d) * E + e];
      return sum;
    });
    const written = Array.from({ length: E }, (_, e) => {
      const sum = values.reduce((all, z, d) => all + z * out[e * H * D + head * D + d], 0);
      return sum * last[e];
    });
    return Array.from({ length: V }, (_, t) => written.reduce((all, w, e) => all + w * output[t * E + e], 0));
  });
  return rows.map((row) => row.map((value, t) => value - rows[0].length ** -1 * row.reduce((a, b) => a + b)));
}

export const circuitCases = (names) => [
  ...names.flatMap((name) => [
    {
      name: `${name}: head detection as TransformerLens has it`,
      async run({ hw, expect }) {
        const { model, golden, tokens } = await opened(hw, name);
        for (const text of ["repeated", "repeated_dup"]) {
          for (const [pattern, theirName] of Object.entries(patternOf)) {
            const theirs = golden.variants.raw.head_detector[text][theirName];
            for (const [bos, cur] of [
              [0, 0],
              [0, 1],
              [1, 0],
              [1, 1],
            ]) {
              const options = { tokens: tokens[text], excludeBos: bos === 1, excludeCurrentToken: cur === 1 };
              const check = async (more, array, tolerance) => {
                const ours = await hw.detectHeads(model, { pattern, ...options, ...more });
                const label = `${name} ${text} ${pattern} ${array}`;
                expectNear(expect, ours.data, theirs[`${array}_bos${bos}_cur${cur}`].data, label, tolerance);
              };
              await check({}, "mul");
              await check({ error: "abs" }, "abs_unrounded");
              await check({ error: "abs", rounded: true }, "abs");
            }
            const { data, shape } = theirs.detection_pattern;
            const [given, named] = await Promise.all(
              [{ data, shape }, pattern].map((pattern) => hw.detectHeads(model, { pattern, tokens: tokens[text] })),
            );
            expect(share(given.data, named.data), "the same pattern as a tensor").to.be.at.most(1e-7);
          }
        }
        await model.dispose();
      },
    },
    {
      name: `${name}: composition and circuits as TransformerLens has them`,
      async run({ hw, expect }) {
        const { model, golden } = await opened(hw, name);
        const { n_layers: N, n_heads: H } = golden.config;
        for (const [variant, foldNorms] of [
          ["raw", false],
          ["folded", "before"],
          ["processed", "before"],
        ]) {
          const theirs = golden.variants[variant].weights;
          for (const kind of ["Q", "K", "V"]) {
            const ours = await hw.composeHeads(model, kind, { foldNorms });
            expect(ours.shape).to.deep.equal([N, H, N, H]);
            expectNear(expect, ours.data, theirs[`composition_${kind}`].data, `${name} ${variant} composition_${kind}`);
          }
          for (const kind of ["QK", "OV"]) {
            const D = theirs[`sv_${kind}`].shape[2];
            const copying = [];
            for (let head = 0; head < N * H; ++head) {
              const ours = await hw.headCircuit(model, Math.floor(head / H), head % H, kind, { foldNorms, pairs: 0 });
              const part = (array, width) => theirs[array].data.subarray(head * width, (head + 1) * width);
              expectNear(expect, ours.singularValues.data, part(`sv_${kind}`, D), `${name} ${variant} sv_${kind}`);
              const values = apart(ours.eigenvalues.data, part(`eigenvalues_${kind}`, 2 * D));
              expect(values, `${name} ${variant} eigenvalues_${kind} of head ${head}`).to.be.at.most(1e-4);
              copying.push(ours.copying);
              expect(ours.pairs).to.deep.equal([]);
            }
            expectNear(expect, copying, theirs[`copying_${kind}`].data, `${name} ${variant} copying_${kind}`);
          }
        }
        await model.dispose();
      },
    },
  ]),
  {
    name: "detection: random tokens are the seed's, and pruned and bidirectional models have scores",
    async run({ hw, expect, golden }) {
      const model = await hw.openModel((await golden("gpt2")).folder);
      const options = { pattern: "induction", random: { length: 11, batch: 2, first: 1, seed: 5 } };
      const [one, other] = [await hw.detectHeads(model, options), await hw.detectHeads(model, options)];
      expect(one.data).to.deep.equal(other.data);
      const third = await hw.detectHeads(model, { ...options, random: { ...options.random, seed: 6 } });
      expect(third.data).not.to.deep.equal(one.data);
      const H = model.config.numHeads;
      const smaller = await model.prune({ 0: [1] });
      const map = await hw.detectHeads(smaller, { pattern: "previous" });
      expect(map.data[1]).to.be.NaN;
      expect(map.data[0]).to.be.closeTo((await hw.detectHeads(model, { pattern: "previous" })).data[0], 1e-6);
      const composed = await hw.composeHeads(smaller, "V");
      const whole = await hw.composeHeads(model, "V");
      const N = model.config.layers;
      composed.data.forEach((value, n) => {
        const [from, to] = [Math.floor(n / (N * H)), n % (N * H)];
        if (from === 1 || to === 1) expect(value, `${from} → ${to}`).to.be.NaN;
        else expect(value).to.be.closeTo(whole.data[n], 1e-6);
      });
      const bert = await hw.openModel((await golden("bert-mlm")).folder);
      expect((await hw.detectHeads(bert, { pattern: "previous" })).data.every((value) => value > 0)).to.equal(true);
      expect((await hw.composeHeads(bert, "Q", { foldNorms: false })).data.at(bert.config.numHeads)).to.be.above(0);
      const refused = (code, parts, call) => expectError(expect, code, parts, call);
      await refused("unsupported", ["composeHeads", "post-norm", "foldNorms: false"], () => hw.composeHeads(bert, "Q"));
      await refused("unsupported", ["headTransform"], () => hw.headCircuit(bert, 0, 0, "OV", { foldNorms: false }));
      await refused("invalid-option", ["pattern", '"induction"'], () => hw.detectHeads(model, { pattern: "next" }));
      await refused("invalid-option", ["random.length", "from 1 to 32"], () =>
        hw.detectHeads(model, { pattern: "previous", random: { length: 40 } }),
      );
      await refused("invalid-option", ["tokens or random"], () =>
        hw.detectHeads(model, { pattern: "previous", tokens: [1], random: {} }),
      );
      await refused("invalid-shape", ["pattern", "[3, 3]"], () =>
        hw.detectHeads(model, { pattern: { data: new Float32Array(4), shape: [2, 2] }, tokens: [1, 2, 3] }),
      );
      await refused("invalid-option", ["composition", '"Q", "K", "V"'], () => hw.composeHeads(model, "QK"));
      await refused("invalid-option", ["head", "from 0 to 3"], () => hw.headCircuit(model, 0, 4, "OV"));
      for (const each of [bert, smaller, model]) await each.dispose();
    },
  },
  {
    name: "circuits: pairs are the largest entries of the whole matrix",
    async run({ hw, expect, golden }) {
      for (const name of ["llama3", "mistral"]) {
        const model = await hw.openModel((await golden(name)).folder);
        const parameters = await model.parameters();
        const whole = circuitOf(parameters, model.config, 1, 3, model.config.tieEmbeddings);
        const { pairs } = await hw.headCircuit(model, 1, 3, "OV", { pairs: 7 });
        const all = whole.flatMap((row, from) => row.map((value, to) => ({ from, to, value })));
        all.sort((one, other) => other.value - one.value);
        const largest = all[0].value * model.config.embeddingScale;
        pairs.forEach((pair, n) => {
          expect([pair.from, pair.to]).to.deep.equal([all[n].from, all[n].to]);
          expect(pair.value).to.be.closeTo(all[n].value * model.config.embeddingScale, 1e-4 * largest);
        });
        expect(pairs.length).to.equal(7);
        await model.dispose();
      }
    },
  },
];
