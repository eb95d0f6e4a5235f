// The logit lens and direct logit attribution.
import { expectError, expectNear, integers, opened, share } from "./support.mjs";

/** Less the mean over the vocabulary, as TransformerLens's `center_unembed` has it. */
function centred(logits, width) {
  return logits.map((_, n) => {
    const row = logits.subarray(n - (n % width), n - (n % width) + width);
    return logits[n] - row.reduce((sum, value) => sum + value, 0) / width;
  });
}

export const logitCases = (names) => [
  ...names.flatMap((name) => [
    {
      name: `${name}: logit lens as TransformerLens has it`,
      async run({ hw, expect }) {
        const { model, golden, tokens, metric } = await opened(hw, name);
        const { raw, folded } = golden.variants;
        const V = golden.config.d_vocab;
        const parallel = golden.config.parallel_attn_mlp;
        const lens = await hw.logitLens(model, tokens.clean, { middle: !parallel });
        const rows = golden.variants.raw.logit_lens.logits_last.shape[0];
        expect(lens.shape).to.deep.equal([rows, 1, 1, V]);
        expectNear(expect, lens.data, raw.logit_lens.logits_last.data, `${name} logits_last`);
        const frozen = await hw.logitLens(model, tokens.clean, { middle: !parallel, norm: "frozen" });
        const theirs = folded.logit_lens.frozen_WU_last.data;
        // Theirs has no biases: differences of rows have none.
        const less = (data) => data.map((value, n) => value - data[n % V]);
        expectNear(expect, less(centred(frozen.data, V)), less(theirs), `${name} frozen_WU_last`);
        const differences = (data) => {
          const all = Array.from(
            { length: rows },
            (_, n) => data[n * V + metric.answer] - data[n * V + metric.against],
          );
          return all.map((value) => value - all[0]);
        };
        const attrs = folded.logit_lens.logit_attrs_last.data;
        expectNear(
          expect,
          differences(frozen.data),
          Array.from(attrs, (value) => value - attrs[0]),
          `${name} logit_attrs_last`,
        );
        const { logits } = await model.forward(tokens.clean, { logits: "last" });
        expect(share(frozen.data.subarray(-V), logits.data), "the last row, frozen").to.be.at.most(1e-5);
        const all = await hw.logitLens(model, tokens.batch, { positions: "all" });
        expect(all.shape).to.deep.equal([golden.config.n_layers + 1, 3, 9, V]);
        const plain = await model.forward(tokens.batch);
        expect(share(all.data.subarray(-plain.logits.data.length), plain.logits.data), "the last row").to.be.at.most(
          1e-5,
        );
        const some = await hw.logitLens(model, tokens.batch, { positions: [2, -1] });
        const at = (b, p, i) => [
          some.data.subarray((b * 2 + p) * V, (b * 2 + p + 1) * V),
          all.data.subarray((b * 9 + i) * V, (b * 9 + i + 1) * V),
        ];
        for (const [b, p, i] of [
          [0, 0, 2],
          [2, 1, 8],
        ])
          expect(share(...at(b, p, i))).to.be.at.most(1e-6);
        await model.dispose();
      },
    },
    {
      name: `${name}: scales of norms as TransformerLens has them`,
      async run({ hw, expect }) {
        const { model, golden, tokens } = await opened(hw, name);
        const { ln1_scale, ln2_scale, ln_final_scale } = golden.variants.raw.cache;
        const { layers, normScale } = await model.forward(tokens.clean, { capture: { normScales: true } });
        for (const [at, theirs] of Object.entries({ norm1: ln1_scale, norm2: ln2_scale })) {
          const ours = layers.flatMap(({ normScales }) => Array.from(normScales[at].data));
          expectNear(expect, ours, theirs.data, `${name} ${at} scale`);
        }
        expect(normScale.shape).to.deep.equal([1, ...ln_final_scale.shape]);
        expectNear(expect, normScale.data, ln_final_scale.data, `${name} ln_final_scale`);
        const { layers: some } = await model.forward(tokens.clean, { capture: { normScales: true, layers: [1] } });
        expect(some.map((layer) => Object.keys(layer))).to.deep.equal(
          layers.map((_, n) => (n === 1 ? ["normScales"] : [])),
        );
        await model.dispose();
      },
    },
    {
      name: `${name}: direct logit attribution as TransformerLens has it, and in sum`,
      async run({ hw, expect }) {
        const { model, golden, tokens, metric } = await opened(hw, name);
        const { folded, processed, raw } = golden.variants;
        const { n_layers: N, n_heads: H } = golden.config;
        const T = tokens.clean.shape[1];
        const ours = { folded: [], processed: [], layers: [] };
        for (let position = 0; position < T; ++position) {
          const by = (by, options) => hw.attributeLogits(model, tokens.clean, { ...metric, position, by, ...options });
          for (const [variant, foldValueBiases] of [
            ["folded", false],
            ["processed", true],
          ]) {
            const parts = await by("head", { foldValueBiases });
            expect(parts.heads.shape).to.deep.equal([N, H]);
            ours[variant].push(parts);
            const sum = [...parts.heads.data, ...parts.feedForward.data, parts.embedding, parts.bias].reduce(
              (a, b) => a + b,
            );
            expect(Math.abs(sum - parts.total), "the sum").to.be.at.most(
              2e-6 * Math.max(...parts.heads.data.map(Math.abs), 1),
            );
          }
          ours.layers.push(await by("layer"));
        }
        for (const [variant, theirs] of [
          ["folded", folded],
          ["processed", processed],
        ]) {
          const heads = Float32Array.from(
            { length: N * H * T },
            (_, n) => ours[variant][n % T].heads.data[Math.floor(n / T)],
          );
          expectNear(expect, heads, theirs.dla.by_head.data, `${name} ${variant} by_head`);
          const full = folded.dla.full_labels;
          const row = (label) =>
            theirs.dla.by_full.data.subarray(full.indexOf(label) * T, (full.indexOf(label) + 1) * T);
          const difference = ours[variant].map(({ total }) => total);
          expectNear(expect, difference, theirs.dla.logit_diff.data, `${name} ${variant} logit_diff`);
          const bias = ours[variant].map((parts) => parts.bias - theirs.dla.bias_U_diff.data[0]);
          const largest = Math.max(...theirs.dla.by_full.data.map(Math.abs));
          bias.forEach((value, t) => expect(Math.abs(value - row("bias")[t])).to.be.at.most(1e-4 * largest));
          for (let n = 0; n < N; ++n)
            expectNear(
              expect,
              ours[variant].map((parts) => parts.feedForward.data[n]),
              row(`${n}_mlp_out`),
              `${name} ${variant} mlp_out`,
            );
        }
        if (raw.dla.manual_by_head_with_ln_w) {
          const heads = Float32Array.from(
            { length: N * H * T },
            (_, n) => ours.folded[n % T].heads.data[Math.floor(n / T)],
          );
          expectNear(expect, heads, raw.dla.manual_by_head_with_ln_w.data, `${name} manual_by_head_with_ln_w`);
        }
        const labels = folded.dla.component_labels;
        const component = (label) =>
          folded.dla.by_component.data.subarray(labels.indexOf(label) * T, (labels.indexOf(label) + 1) * T);
        for (let n = 0; n < N; ++n)
          expectNear(
            expect,
            ours.layers.map(({ attention }) => attention.data[n]),
            component(`${n}_attn_out`),
            `${name} attn_out`,
          );
        const positions = labels.includes("pos_embed") ? component("pos_embed") : new Float32Array(T);
        expectNear(
          expect,
          ours.layers.map(({ embedding }) => embedding),
          component("embed").map((value, t) => value + positions[t]),
          `${name} embed`,
        );
        const parts = ours.layers.at(-1);
        const sum = [...parts.attention.data, ...parts.feedForward.data, parts.embedding, parts.bias].reduce(
          (a, b) => a + b,
        );
        expect(Math.abs(sum - parts.total), "the sum by layer").to.be.at.most(1e-5);
        await model.dispose();
      },
    },
  ]),
  {
    name: "attribution of batches, pruned and gated models, and models with norms after their layers sums up",
    async run({ hw, expect, golden: open }) {
      for (const name of ["gemma2", "gpt_neox", "qwen3", "gpt2", "smollm3"]) {
        const model = await hw.openModel((await open(name)).folder);
        const smaller = await model.prune({ 1: [1] });
        await (await smaller.attention(0)).setHeadGates(new Float32Array(smaller.config.heads[0].length).fill(0.5));
        const tokens = integers([
          [5, 9, 11, 40, 7],
          [3, 8, 22, 6, 12],
        ]);
        const answer = { answer: [7, 9], against: [4, 2], position: 3 };
        const parts = await hw.attributeLogits(smaller, tokens, { ...answer, by: "head", foldValueBiases: true });
        const { logits } = await smaller.forward(tokens);
        const at = (b, v) => logits.data[(b * 5 + 3) * model.config.vocabSize + v];
        const cap = model.config.logitSoftcap;
        const before = (x) => (cap > 0 ? cap * Math.atanh(x / cap) : x);
        const total = [0, 1].map((b) => before(at(b, answer.answer[b])) - before(at(b, answer.against[b])));
        expect(parts.total, `${name}: the logit difference`).to.be.closeTo((total[0] + total[1]) / 2, 2e-4);
        const all = [...parts.heads.data].filter((_, n) => n !== model.config.numHeads + 1);
        expect(parts.heads.data[model.config.numHeads + 1], "what was pruned").to.be.NaN;
        const sum = [...all, ...parts.feedForward.data, parts.embedding, parts.bias].reduce((a, b) => a + b);
        expect(sum, name).to.be.closeTo(parts.total, 2e-5);
        await model.dispose();
        await smaller.dispose();
      }
    },
  },
  {
    name: "logits: models that do not fit are refused, with what is supported",
    async run({ hw, expect, golden: open }) {
      const refused = async (name, call, ...parts) => {
        const model = await hw.openModel((await open(name)).folder, name === "clip" ? { tower: "text" } : {});
        await expectError(expect, "unsupported", parts, () => call(model));
        await model.dispose();
      };
      const attribute = (model) => hw.attributeLogits(model, [1, 2], { answer: 3, by: "head" });
      await refused("bert-mlm", attribute, "attributeLogits", "norms after the sums", "expected norms before");
      await refused("modernbert-mlm", attribute, "headTransform");
      await refused("clip", attribute, "no logits", "language head");
      await refused("vit", attribute, "images", "reads tokens");
      await refused("bert-cls", (model) => hw.logitLens(model, [1, 2]), "logitLens", "no logits");
      await refused("gemma2", (model) => hw.logitLens(model, [1, 2], { norm: "frozen" }), "logitSoftcap");
      const model = await hw.openModel((await open("gpt2")).folder);
      const wrong = (options, code, ...parts) =>
        expectError(expect, code, parts, () => hw.attributeLogits(model, [1, 2], options));
      await wrong({ answer: 3, by: "row" }, "invalid-option", "by", '"head", "layer"');
      await wrong({ answer: 1e6, by: "head" }, "invalid-option", "answer", "an integer from 0 to 96");
      await wrong({ answer: [1, 2], by: "head" }, "invalid-shape", "answer", "1 rows");
      await wrong({ answer: 3, position: 2, by: "head" }, "invalid-option", "position", "-2 to 1");
      await wrong({ answer: 3, by: "head", heads: 1 }, "invalid-option", "unknown option");
      await model.dispose();
    },
  },
];
