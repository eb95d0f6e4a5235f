// Zero, mean and resample ablation of every head.
import { expectError, expectNear, integers, opened, share } from "./support.mjs";

export const ablationCases = (names) => [
  ...names.map((name) => ({
    name: `${name}: ablation as TransformerLens has it`,
    async run({ hw, expect }) {
      const { model, golden, tokens } = await opened(hw, name);
      const V = golden.config.d_vocab;
      for (const variant of ["raw", "processed"]) {
        for (const text of ["clean", "batch"]) {
          const theirs = golden.variants[variant][`ablation_${text}`];
          const foldValueBiases = variant === "processed";
          for (const [kind, options] of Object.entries({
            zero: { with: "zero", foldValueBiases },
            mean: { with: "mean" },
            mean_batch: { with: "mean", meanOver: "batch" },
          })) {
            if (!theirs[`${kind}_loss`]) continue;
            const ours = await hw.ablateHeads(model, [tokens[text]], options);
            expect(ours.baseline).to.be.closeTo(theirs.clean_loss.data[0], 1e-4 * theirs.clean_loss.data[0]);
            expectNear(expect, ours.data, theirs[`${kind}_loss`].data, `${name} ${variant} ${text} ${kind}_loss`);
            const difference = { answer: golden.answer, against: golden.distractor };
            const by = await hw.ablateHeads(model, [tokens[text]], { ...options, metric: difference });
            const logits = theirs[`${kind}_logits_last`].data;
            const rows = tokens[text].shape[0];
            const means = Float32Array.from(ours.data, (_, head) => {
              const at = (b, token) => logits[(head * rows + b) * V + token];
              const all = Array.from({ length: rows }, (_, b) => at(b, golden.answer) - at(b, golden.distractor));
              return all.reduce((sum, value) => sum + value, 0) / rows;
            });
            expectNear(expect, by.data, means, `${name} ${variant} ${text} ${kind}_logits_last`);
          }
        }
      }
      await model.dispose();
    },
  })),
  {
    name: "ablation: several batches, targets, metrics, gates and pruned heads agree with each other",
    async run({ hw, expect, entry, golden }) {
      const model = await hw.openModel((await golden("gpt2")).folder);
      const rows = [
        [5, 9, 11, 40],
        [7, 3, 8, 22],
        [1, 6, 30, 2],
      ];
      const whole = [integers(rows)];
      const apart = rows.map((row) => Int32Array.from(row));
      for (const options of [
        { with: "zero" },
        { with: "mean" },
        { with: "mean", meanOver: "batch" },
        { with: "resample", seed: 3 },
      ]) {
        const [one, other] = [await hw.ablateHeads(model, whole, options), await hw.ablateHeads(model, apart, options)];
        expect(share(one.data, other.data), `${options.with}, in one batch or in three`).to.be.at.most(1e-5);
        expect(
          one.data.every((value) => Math.abs(value - one.baseline) > 1e-6),
          `${options.with} changes the loss`,
        ).to.equal(true);
      }
      const targets = integers(rows.map((row) => [...row.slice(1), -1]));
      const zero = await hw.ablateHeads(model, [{ tokens: whole[0], targets }], { with: "zero" });
      const importance = await hw.headImportance(model, [{ tokens: whole[0], targets }], { method: "leave-one-out" });
      const increase = Array.from(zero.data, (value) => value - zero.baseline);
      expect(share(increase, importance.flat()), "zero ablation is leave-one-out importance").to.be.at.most(1e-3);
      const draws = await Promise.all(
        [3, 3, 4, 5, 6].map((seed) => hw.ablateHeads(model, whole, { with: "resample", seed })),
      );
      expect(draws[0].data).to.deep.equal(draws[1].data);
      const others = draws.filter(({ data }) => share(data, draws[0].data) > 1e-6);
      expect(others.length, "another seed draws others").to.be.above(0);
      const smaller = await model.prune({ 1: [2] });
      const map = await hw.ablateHeads(smaller, apart, { with: "zero" });
      const H = model.config.numHeads;
      expect(map.data[H + 2]).to.be.NaN;
      expect(map.baseline).to.be.closeTo(zero.data[H + 2], 1e-5);
      const progress = [];
      await hw.ablateHeads(model, apart, { with: "mean", onProgress: (each) => progress.push(each) });
      expect(progress.at(-1).done).to.equal(progress.at(-1).total);
      const controller = new AbortController();
      const stopped = hw.ablateHeads(model, apart, {
        with: "zero",
        signal: controller.signal,
        onProgress: ({ done }) => done === 2 && controller.abort(),
      });
      await expectError(expect, "aborted", [], () => stopped);
      if (entry === "headwise") {
        const metric = ({ data, shape }) =>
          data[(shape.at(-2) - 1) * shape.at(-1) + 9] - data[(shape.at(-2) - 1) * shape.at(-1) + 4];
        const [ours, theirs] = [metric, { answer: 9, against: 4 }].map((metric) =>
          hw.ablateHeads(model, [apart[0]], { with: "zero", metric }),
        );
        expect(share((await ours).data, (await theirs).data)).to.be.at.most(1e-6);
        await expectError(expect, "invalid-option", ["metric", "returns a number"], () =>
          hw.ablateHeads(model, apart, { with: "zero", metric: () => "much" }),
        );
      } else {
        await expectError(expect, "invalid-option", ["function cannot be sent"], () =>
          hw.ablateHeads(model, apart, { with: "zero", metric: () => 1 }),
        );
      }
      const refused = (code, parts, batches, options) =>
        expectError(expect, code, parts, () => hw.ablateHeads(model, batches, options));
      await refused("invalid-option", ["with", '"zero", "mean", "resample"'], apart, {});
      await refused("invalid-option", ["batches", "at least one"], [], { with: "zero" });
      await refused("invalid-option", ["at least two sequences"], [[1, 2]], { with: "resample" });
      await refused(
        "invalid-shape",
        ["one length", "2, 3"],
        [
          [1, 2],
          [1, 2, 3],
        ],
        { with: "resample" },
      );
      await refused("invalid-shape", ["batches[0].targets"], [{ tokens: [1, 2], targets: [1] }], { with: "zero" });
      await smaller.dispose();
      await model.dispose();
    },
  },
];
