// Pruning of opened models that do not predict tokens: they have no loss, but a size and a time.
import { openGolden } from "../goldens.mjs";
import { expectError } from "./support.mjs";

export const pruningCases = ["bert", "vit"].map((name) => ({
  name: `${name}, which predicts no tokens, is pruned by importance, and is measured without a loss`,
  async run({ hw, expect }) {
    const model = await hw.openModel((await openGolden(name)).folder);
    const importance = model.config.heads.map((heads, layer) => heads.map((_, head) => layer + head));
    // Of images there are no batches: the time is that of one image.
    const batches = name === "vit" ? undefined : [{ tokens: [5, 9, 11], targets: [9, 11, -1] }];
    const result = await hw.pruneByImportance(model, importance, { count: 2, batches });
    expect(result.removed[0]).to.deep.equal({ layer: 0, head: 0 });
    for (const [cost, of] of [
      [result.before, model],
      [result.after, result.model],
    ]) {
      expect(cost).to.have.all.keys("parameters", "bytes", "milliseconds");
      expect(cost.parameters).to.equal(of.parameterCount);
      expect(cost.milliseconds).to.be.above(0);
    }
    expect(result.after.parameters).to.be.below(result.before.parameters);
    if (batches)
      await expectError(expect, "invalid-option", ["maxLossIncrease", "head"], () =>
        hw.pruneByImportance(model, importance, { maxLossIncrease: 0.1, batches }),
      );
    for (const each of [result.model, model]) await each.dispose();
  },
}));
