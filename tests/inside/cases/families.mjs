// TransformerLens's numbers for other families: parallel layers and partial rotary embedding (GPT-NeoX), biases of grouped values (Qwen 2),
// norms of queries and keys (Qwen 3), windows (Mistral), norms behind the sublayers and caps (Gemma 2).
import { clean, corrupted, metric, numbers } from "./family_numbers.mjs";
import { expectNear } from "./support.mjs";

const near = (expect, ours, theirs, what) => theirs && expectNear(expect, ours, theirs, what);

/** Composition of the heads of layer 0 with those of layer 1. */
async function composed(hw, model, kind, foldNorms) {
  const { data, shape } = await hw.composeHeads(model, kind, { foldNorms });
  const [N, H] = shape;
  return Array.from({ length: H * H }, (_, n) => data[(Math.floor(n / H) * N + 1) * H + (n % H)]);
}

async function copyingOf(hw, model, kind, foldNorms) {
  const scores = [];
  for (const [layer, heads] of model.config.heads.entries())
    for (const head of heads.keys())
      scores.push((await hw.headCircuit(model, layer, head, kind, { foldNorms, pairs: 0 })).copying);
  return scores;
}

export const familyCases = [
  ...Object.entries(numbers).map(([name, theirs]) => ({
    name: `${name}: analyses as TransformerLens has them`,
    async run({ hw, expect, golden }) {
      const model = await hw.openModel((await golden(name)).folder);
      const at = { at: "heads", by: "head", metric };
      const patched = await hw.patch(model, clean, corrupted, at);
      near(expect, patched.data, theirs.patched, `${name} attn_head_out_all_pos`);
      const attributed = await hw.attributionPatch(model, clean, corrupted, at);
      near(expect, attributed.data, theirs.attributed, `${name} z_by_head`);
      const ablated = await hw.ablateHeads(model, [Int32Array.from(clean)], { with: "zero" });
      near(expect, ablated.data, theirs.ablated, `${name} zero_loss`);
      const attribute = (by, foldValueBiases) =>
        hw.attributeLogits(model, clean, { ...metric, by, ...(foldValueBiases && { foldValueBiases }) });
      near(expect, (await attribute("head")).heads.data, theirs.heads, `${name} by_head`);
      near(
        expect,
        (await attribute("head", true)).heads.data,
        theirs.headsWithoutValueBias,
        `${name} processed by_head`,
      );
      const { attention } = await attribute("layer");
      near(expect, attention.data, theirs.attentions, `${name} attn_out`);
      for (const [kind, values] of Object.entries(theirs.composition))
        near(expect, await composed(hw, model, kind, "before"), values, `${name} composition_${kind}`);
      for (const [kind, values] of Object.entries(theirs.copying))
        near(expect, await copyingOf(hw, model, kind, "before"), values, `${name} copying_${kind}`);
      await model.dispose();
    },
  })),
  {
    name: 'folding "before" is folding all where there are no other norms',
    async run({ hw, expect, golden }) {
      // Of Qwen 3 the norms of queries and keys are folded into QK, of Gemma 2 the norms behind the attention into OV.
      const differs = { gpt_neox: [], qwen3: ["QK"], gemma2: ["OV"] };
      for (const [name, circuits] of Object.entries(differs)) {
        const model = await hw.openModel((await golden(name)).folder);
        for (const kind of ["QK", "OV"]) {
          const [all, before] = await Promise.all([true, "before"].map((fold) => copyingOf(hw, model, kind, fold)));
          if (circuits.includes(kind)) expect(all, `${name} ${kind}`).not.to.deep.equal(before);
          else expect(all, `${name} ${kind}`).to.deep.equal(before);
        }
        await model.dispose();
      }
    },
  },
];
