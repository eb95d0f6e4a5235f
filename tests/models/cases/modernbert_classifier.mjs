// ModernBERT as sequence classifier, which no golden model is: the golden encoder, and a head in float64 beside ours.
import { openGolden } from "../goldens.mjs";
import { integers } from "./goldens.mjs";
import { changed, expectError } from "./support.mjs";

/** erf by its series, which is exact enough for |x| < 4. */
function erf(x) {
  let [sum, term] = [0, x];
  for (let n = 0; n < 80; ++n) {
    sum += term / (2 * n + 1);
    term *= (-x * x) / (n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const waves = (count, step) => Float32Array.from({ length: count }, (_, n) => Math.sin(n * step));
const times = (x, { data, shape: [rows, columns] }) =>
  Array.from({ length: rows }, (_, i) => x.reduce((sum, value, j) => sum + value * data[i * columns + j], 0));

const labels = 3;
const id2label = { 0: "no", 1: "maybe", 2: "yes" };

async function files(config = {}) {
  return changed("modernbert", {
    config: (it) => ({ ...it, architectures: ["ModernBertForSequenceClassification"], id2label, ...config }),
    tensors: (bare) => {
      const E = bare["final_norm.weight"].shape[0];
      return {
        ...Object.fromEntries(Object.entries(bare).map(([name, tensor]) => [`model.${name}`, tensor])),
        "head.dense.weight": { data: waves(E * E, 0.7).map((value) => value / 4), shape: [E, E] },
        "head.norm.weight": { data: waves(E, 0.3).map((value) => 1 + value / 4), shape: [E] },
        "classifier.weight": { data: waves(labels * E, 0.9), shape: [labels, E] },
        "classifier.bias": { data: Float32Array.of(0.1, -0.2, 0.3), shape: [labels] },
      };
    },
  });
}

export const modernbertCases = [
  {
    name: "modernbert as classifier: linear layer, GELU, norm and classes of the first token",
    async run({ hw, expect }) {
      const { cases } = await openGolden("modernbert");
      const tokens = integers(cases.nomask.inputs.input_ids);
      const bare = await hw.openModel(await changed("modernbert"));
      const { hidden } = await bare.forward(tokens);
      const model = await hw.openModel(await files());
      expect(model.labels).to.deep.equal(Object.values(id2label));
      const { logits } = await model.forward(tokens);
      const parameters = await model.parameters();
      const [B, L, E] = hidden.shape;
      for (let b = 0; b < B; ++b) {
        const first = hidden.data.subarray(b * L * E, (b * L + 1) * E);
        const active = times(first, parameters["pooler.dense.weight"]).map((x) => (x * (1 + erf(x / Math.SQRT2))) / 2);
        const mean = active.reduce((sum, x) => sum + x, 0) / E;
        const deviation = Math.sqrt(active.reduce((sum, x) => sum + (x - mean) ** 2, 0) / E + 1e-5);
        const normed = active.map((x, n) => ((x - mean) / deviation) * parameters["pooler.norm.weight"].data[n]);
        times(normed, parameters["classifier.weight"]).forEach((x, k) =>
          expect(logits.data[b * labels + k]).to.be.closeTo(x + parameters["classifier.bias"].data[k], 2e-4),
        );
      }
      const again = await hw.openModel(await model.save());
      expect((await again.forward(tokens)).logits.data).to.deep.equal(logits.data);
      expect(
        await model.accumulateGradients(
          tokens,
          Int32Array.from({ length: B }, (_, b) => b % labels),
        ),
      ).to.be.above(0);
      for (const each of [bare, model, again]) await each.dispose();
      const mean = await files({ classifier_pooling: "mean" });
      await expectError(expect, "unsupported", ["classifier_pooling", "mean"], () => hw.openModel(mean));
    },
  },
];
