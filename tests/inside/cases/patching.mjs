// Activation patching, attribution patching and path patching.
import { expectError, expectNear, integers, opened, share, transposed } from "./support.mjs";

const heads = { heads: "out", query: "q", key: "k", value: "v", weights: "pattern" };
const rows = { before: "resid_pre", middle: "resid_mid", attention: "attn_out", feedForward: "mlp_out" };

const clean = [5, 9, 11, 40, 7, 22];
const corrupted = [5, 9, 30, 40, 8, 22];
const metric = { answer: 9, against: 4 };
const bits = ({ data }) => Array.from(data, (value) => (Number.isNaN(value) ? "NaN" : value));

export const patchingCases = (names) => [
  ...names.map((name) => ({
    name: `${name}: activation patching as TransformerLens has it`,
    async run({ hw, expect }) {
      const { model, golden, tokens, metric } = await opened(hw, name);
      for (const variant of ["raw", "processed"]) {
        const theirs = golden.variants[variant].activation_patching;
        if (!theirs) continue;
        const check = async (at, by, array, axes) => {
          if (!theirs[array]) return;
          const ours = await hw.patch(model, tokens.clean, tokens.corrupted, { at, by, metric });
          const data = axes ? transposed(ours, axes) : ours.data;
          expectNear(expect, data, theirs[array].data, `${name} ${variant} ${array}`);
          if (!theirs.metric_clean) return;
          const metrics = [...theirs.metric_clean.data, ...theirs.metric_corrupted.data];
          expectNear(expect, [ours.clean, ours.corrupted], metrics, `${name} ${variant} metrics`);
        };
        for (const [at, array] of Object.entries(heads)) {
          await check(at, "head", `attn_head_${array}_all_pos`);
          await check(at, "both", `attn_head_${array}_by_pos`, at === "weights" ? [0, 2, 1] : undefined);
        }
        for (const [at, array] of Object.entries(rows)) await check(at, "token", array);
      }
      await model.dispose();
    },
  })),
  ...names.map((name) => ({
    name: `${name}: attribution patching as TransformerLens has it`,
    async run({ hw, expect }) {
      const { model, golden, tokens, metric } = await opened(hw, name);
      for (const variant of ["raw", "processed"]) {
        const theirs = golden.variants[variant].attribution_patching;
        if (!theirs) continue;
        const check = async (at, by, array) => {
          if (!theirs[array]) return;
          const ours = await hw.attributionPatch(model, tokens.clean, tokens.corrupted, { at, by, metric });
          expectNear(expect, ours.data, theirs[array].data, `${name} ${variant} ${array}`);
          // A difference of logits may be near 0: it has their rounding.
          const metrics = [theirs.metric_corrupted, golden.variants[variant].activation_patching.metric_clean];
          const [corrupted, clean] = metrics.map(({ data }) => data[0]);
          expectNear(expect, [ours.corrupted, clean], [corrupted, clean], `${name} ${variant} metric_corrupted`);
        };
        for (const [at, array] of Object.entries({ ...heads, heads: "z" })) {
          await check(at, "head", `${array}_by_head`);
          if (at !== "weights") await check(at, "both", `${array}_by_pos_head`);
        }
        for (const [at, array] of Object.entries(rows)) await check(at, "token", `${array}_by_pos`);
      }
      await model.dispose();
    },
  })),
  {
    name: "patching: clean into clean changes nothing, also of grouped, parallel and pruned models",
    async run({ hw, expect, golden }) {
      for (const name of ["llama3", "gpt_neox", "gemma2"]) {
        const model = await hw.openModel((await golden(name)).folder);
        const smaller = await model.prune({ 1: [1] });
        const { numHeads: H, numKvHeads: G, layers: N } = model.config;
        const shapes = { head: [N, H], token: [N, 6], both: [N, 6, H] };
        for (const at of [...Object.keys(heads), ...Object.keys(rows), "stream"]) {
          for (const by of at in heads ? ["head", "token", "both"] : ["token"]) {
            const map = await hw.patch(smaller, clean, clean, { at, by, metric });
            const shape =
              at === "key" || at === "value"
                ? shapes[by].map((n, axis) => (axis > 0 && by !== "token" && axis === shapes[by].length - 1 ? G : n))
                : shapes[by];
            expect(map.shape, `${name}: ${at} by ${by}`).to.deep.equal(shape);
            expect(map.clean).to.equal(map.corrupted);
            const apart = [...map.data]
              .filter((value) => !Number.isNaN(value))
              .map((value) => Math.abs(value - Math.fround(map.clean)));
            expect(Math.max(...apart), `${name}: ${at} by ${by}`).to.be.at.most(at === "weights" ? 1e-5 : 0);
            const absent = apart.length < map.data.length;
            const pruned = by !== "token" && at in heads && (at !== "key" && at !== "value" ? true : G === H);
            expect(absent, `${name}: heads that were pruned at ${at} by ${by}`).to.equal(pruned);
          }
        }
        const all = await hw.patch(model, clean, corrupted, { at: "stream", by: "token", metric });
        expect(all.data.at(-1), "the last token after the last layer is the clean run").to.be.closeTo(all.clean, 1e-5);
        await smaller.dispose();
        await model.dispose();
      }
    },
  },
  {
    name: "attribution patching is the slope of patching, and sums over its parts",
    async run({ hw, expect, golden }) {
      for (const name of ["gpt2", "gemma2", "gpt_neox"]) {
        const model = await hw.openModel((await golden(name)).folder);
        const N = model.config.layers;
        // A corrupted run close to the clean one: both are batches, whose streams differ by a small step at layer 0.
        const attribution = await hw.attributionPatch(model, clean, corrupted, { at: "before", by: "token", metric });
        const [one, other] = await Promise.all(
          [clean, corrupted].map((tokens) => model.forward(tokens, { capture: { stream: ["before"], layers: [0] } })),
        );
        const value = async (step) => {
          const [to, from] = [one, other].map(({ layers }) => layers[0].stream.before);
          const set = { data: from.data.map((x, n) => x + step * (to.data[n] - x)), shape: from.shape };
          const { logits } = await model.forward(corrupted, {
            logits: "last",
            edits: [{ layer: 0, at: "before", set }],
          });
          return logits.data[metric.answer] - logits.data[metric.against];
        };
        const slope = ((await value(0.01)) - (await value(-0.01))) / 0.02;
        const sum = attribution.data.subarray(0, 6).reduce((a, b) => a + b);
        expect(sum, `${name}: the slope at the embedding`).to.be.closeTo(slope, 2e-2 * Math.abs(slope) + 1e-3);
        for (const at of Object.keys(heads)) {
          const [whole, byToken, byHead] = await Promise.all(
            ["both", "token", "head"].map((by) => hw.attributionPatch(model, clean, corrupted, { at, by, metric })),
          );
          const columns = byHead.shape[1];
          const summed = byHead.data.map((_, n) => {
            const layer = Math.floor(n / columns);
            return Array.from({ length: 6 }, (_, i) => whole.data[(layer * 6 + i) * columns + (n % columns)]).reduce(
              (a, b) => a + b,
            );
          });
          expect(share(summed, byHead.data), `${name}: ${at}`).to.be.at.most(1e-5);
          const total = ({ data }) => data.reduce((a, b) => a + b);
          expect(total(byToken)).to.be.closeTo(total(byHead), 1e-4);
        }
        const same = await hw.attributionPatch(model, clean, clean, { at: "heads", by: "head", metric });
        expect(bits(same)).to.deep.equal(new Array(N * model.config.numHeads).fill(0));
        await model.dispose();
      }
    },
  },
  {
    name: "path patching is what its edits say",
    async run({ hw, expect, golden }) {
      for (const name of ["gpt2", "llama3"]) {
        const model = await hw.openModel((await golden(name)).folder);
        const { layers: N, numHeads: H } = model.config;
        const patched = await hw.patch(model, clean, corrupted, { at: "heads", by: "head", metric });
        const direct = await hw.pathPatch(model, clean, corrupted, { to: "logits", metric });
        expect(
          share(direct.data.subarray(-H), patched.data.subarray(-H)),
          "the last layer has direct paths alone",
        ).to.be.at.most(1e-6);
        expect(share(direct.data.subarray(0, H), patched.data.subarray(0, H)), "the first has others").to.be.above(
          1e-4,
        );
        const frozen = await hw.pathPatch(model, clean, corrupted, { to: "logits", metric, freezeFeedForward: true });
        expect(share(frozen.data, direct.data)).to.be.above(1e-4);
        // Straight from the head to the logits: the stream after the last layer changes by what the head writes.
        const [one, other] = await Promise.all(
          [clean, corrupted].map((tokens) =>
            model.forward(tokens, { capture: { heads: "contributions", stream: ["after"] } }),
          ),
        );
        const add = {
          data: one.layers[0].heads.data.map((x, n) => x - other.layers[0].heads.data[n]),
          shape: one.layers[0].heads.shape,
        };
        const ofHead = {
          data: add.data.subarray(6 * model.config.embedDim, 12 * model.config.embedDim),
          shape: [6, model.config.embedDim],
        };
        const { logits } = await model.forward(corrupted, {
          logits: "last",
          edits: [{ layer: N - 1, at: "stream", add: ofHead }],
        });
        expect(frozen.data[1]).to.be.closeTo(logits.data[metric.answer] - logits.data[metric.against], 1e-4);
        const last = { layer: N - 1, head: 0, at: "value" };
        const to = await hw.pathPatch(model, clean, corrupted, {
          to: [last, { layer: 1, head: 1, at: "query" }],
          metric,
        });
        expect(bits({ data: to.data.subarray((N - 1) * H) })).to.deep.equal(
          new Array(H).fill(Math.fround(to.corrupted)),
        );
        const none = await hw.pathPatch(model, clean, clean, { to: [last], metric });
        for (const value of none.data) expect(value).to.equal(Math.fround(none.clean));
        // By hand, for head 0 of layer 0.
        const capture = { heads: "values", layers: Array.from({ length: N }, (_, n) => n) };
        const [there, here] = await Promise.all([clean, corrupted].map((tokens) => model.forward(tokens, { capture })));
        const edits = [
          ...here.layers.map(({ heads }, layer) => ({ layer, at: "heads", set: heads })),
          { layer: 0, at: "heads", head: 0, set: there.layers[0].heads },
        ];
        const { layers } = await model.forward(corrupted, { capture: { queries: true, values: true }, edits });
        const received = [
          { layer: N - 1, head: 0, at: "value", set: layers[N - 1].values },
          { layer: 1, head: 1, at: "query", set: layers[1].queries },
        ];
        const result = await model.forward(corrupted, { logits: "last", edits: received });
        expect(to.data[0]).to.be.closeTo(result.logits.data[metric.answer] - result.logits.data[metric.against], 1e-6);
        await model.dispose();
      }
    },
  },
  {
    name: "patching of batches; refusals",
    async run({ hw, expect, golden, entry }) {
      const model = await hw.openModel((await golden("gpt2")).folder);
      const options = { at: "heads", by: "head" };
      const answers = { answer: [9, 7], against: [4, 3] };
      const both = await hw.patch(model, integers([clean, corrupted]), integers([corrupted, clean]), {
        ...options,
        metric: answers,
      });
      const each = [
        await hw.patch(model, clean, corrupted, { ...options, metric: { answer: 9, against: 4 } }),
        await hw.patch(model, corrupted, clean, { ...options, metric: { answer: 7, against: 3 } }),
      ];
      const mean = each[0].data.map((value, n) => (value + each[1].data[n]) / 2);
      expect(share(both.data, mean)).to.be.at.most(1e-5);
      const refused = (code, parts, ...args) => expectError(expect, code, parts, () => hw.patch(model, ...args));
      await refused("invalid-shape", ["corrupted", "[1, 3]", "[1, 2]"], [1, 2, 3], [1, 2], { ...options, metric });
      await refused("invalid-option", ["by", '"token"', '"stream"'], clean, corrupted, {
        at: "stream",
        by: "head",
        metric,
      });
      await refused("invalid-option", ["at", "weights"], clean, corrupted, { at: "z", by: "head", metric });
      await refused("invalid-option", ["metric"], clean, corrupted, options);
      await refused("invalid-option", ["metric.answer"], clean, corrupted, { ...options, metric: { answer: 97 } });
      const attribute = (metric) => hw.attributionPatch(model, clean, corrupted, { ...options, metric });
      if (entry === "headwise") await expectError(expect, "invalid-option", ["no gradient"], () => attribute(() => 1));
      const path = (to, ...parts) =>
        expectError(expect, "invalid-option", parts, () => hw.pathPatch(model, clean, corrupted, { to, metric }));
      await path([], "to", "at least one head");
      await path([{ layer: 7, head: 0, at: "query" }], "to[0].layer");
      await path([{ layer: 1, head: 9, at: "query" }], "to[0].head");
      await path("heads", "to", '"logits"');
      const clip = await hw.openModel((await golden("clip")).folder, { tower: "text" });
      await expectError(expect, "unsupported", ["patch", "no logits"], () =>
        hw.patch(clip, [1], [1], { ...options, metric }),
      );
      await clip.dispose();
      await model.dispose();
    },
  },
];
