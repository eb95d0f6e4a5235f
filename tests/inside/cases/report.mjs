// Reports of all heads, and text in the place of tokens.
import { changed } from "../../models/cases/support.mjs";
import { tokenizerFiles } from "../../models/cases/word_tokenizer.mjs";
import { expectError, share } from "./support.mjs";

const words = (...ids) => ids.map((id) => `word${id}`).join(" ");
const rows = [
  [5, 9, 11, 40, 9, 11],
  [7, 22, 8, 7],
  [30, 31, 5, 9, 30, 31, 60, 61],
];
const pair = { clean: rows[0], corrupted: [5, 9, 30, 40, 8, 11], answer: 9, against: 4 };

export const reportCases = [
  {
    name: "a report says of each head what the analyses say",
    async run({ hw, expect, golden }) {
      for (const name of ["gpt2", "llama3", "gpt_neox"]) {
        const whole = await hw.openModel((await golden(name)).folder);
        const model = await whole.prune({ 0: [1] });
        const { numHeads: H } = model.config;
        const report = await hw.headReport(model, rows, { pair, top: 3 });
        expect(JSON.parse(JSON.stringify(report))).to.deep.equal(report);
        expect(report.tokens).to.equal(18);
        expect(report.importance).to.equal("gradient");
        expect(report.heads.map(({ layer, head }) => [layer, head])).to.deep.equal(
          model.config.heads.flatMap((heads, layer) => heads.map((head) => [layer, head])),
        );
        const batches = rows.map((tokens) => ({ tokens, targets: [...tokens.slice(1), -1] }));
        const importance = await hw.headImportance(model, batches, { method: "gradient" });
        const at = (map) => report.heads.map(({ layer, head }) => map.data[layer * H + head]);
        const near = (ours, theirs, what) => expect(share(ours, theirs), `${name}: ${what}`).to.be.at.most(1e-5);
        const all = (of) => report.heads.map(of);
        near(
          all((head) => head.importance),
          importance.flat(),
          "importance",
        );
        for (const pattern of ["previous", "duplicate", "induction"])
          near(
            all(({ roles }) => roles[pattern]),
            at(await hw.detectHeads(model, { pattern })),
            pattern,
          );
        const { clean, corrupted, ...metric } = pair;
        const direct = await hw.attributeLogits(model, clean, { ...metric, by: "head" });
        near(
          all(({ attribution }) => attribution),
          at(direct.heads),
          "attribution",
        );
        const patched = await hw.attributionPatch(model, clean, corrupted, { at: "heads", by: "head", metric });
        near(
          all(({ patching }) => patching),
          at(patched),
          "patching",
        );
        // The statistics of all texts are means over the queries of each.
        const alone = await Promise.all(
          rows.map(async (tokens) => {
            const { layers } = await model.forward(tokens, { capture: { weights: "probabilities" } });
            return hw.analyzeHeads(layers[1].weights, { causal: true, tokens });
          }),
        );
        const second = report.heads.filter(({ layer }) => layer === 1);
        second.forEach(({ attention }, h) => {
          const mean = rows.reduce((sum, row, n) => sum + (alone[n][h].distance * row.length) / 18, 0);
          expect(attention.distance).to.be.closeTo(mean, 1e-5);
          const entropies = rows.reduce((sum, row, n) => sum + (alone[n][h].entropy * (row.length - 1)) / 15, 0);
          expect(attention.entropy).to.be.closeTo(entropies, 1e-5);
        });
        // What a head raises most, against what it lowers most: its mean part in this logit difference.
        for (const n of [0, report.heads.length - 1]) {
          const { layer, head, writes } = report.heads[n];
          const [answer, against] = [writes.raises[0].token, writes.lowers[0].token];
          expect([writes.raises.length, writes.lowers.length]).to.deep.equal([3, 3]);
          const parts = await Promise.all(
            rows.flatMap((tokens) =>
              tokens.map((_, position) => hw.attributeLogits(model, tokens, { answer, against, position, by: "head" })),
            ),
          );
          const mean = parts.reduce((sum, { heads }) => sum + heads.data[layer * H + head], 0) / parts.length;
          expect(writes.raises[0].logit - writes.lowers[0].logit).to.be.closeTo(mean, 1e-4 * Math.max(1, mean));
        }
        expect(report.table.trim().split("\n").length).to.equal(report.heads.length + 2);
        expect(report.table).to.include("| head | previous |").and.to.include(" | patching | raises |");
        await model.dispose();
        await whole.dispose();
      }
    },
  },
  {
    name: "reports of models without a sum of logits, and refusals",
    async run({ hw, expect, golden }) {
      for (const name of ["bert-mlm", "gemma2", "clip"]) {
        const model = await hw.openModel((await golden(name)).folder, name === "clip" ? { tower: "text" } : {});
        const { heads, importance } = await hw.headReport(model, rows);
        expect(importance).to.equal(name === "gemma2" ? "gradient" : "norm");
        expect(
          heads.every((head) => head.writes === undefined && head.importance > 0),
          name,
        ).to.equal(true);
        await model.dispose();
      }
      const bert = await hw.openModel((await golden("bert-mlm")).folder);
      const refused = (code, parts, ...args) => expectError(expect, code, parts, () => hw.headReport(bert, ...args));
      await refused("invalid-option", ["importance", "next token"], rows, { importance: "gradient" });
      await refused("invalid-option", ["texts", "at least one"], []);
      await refused("invalid-option", ["no tokenizer.json"], ["a text"]);
      await refused("unsupported", ["norms after the sums"], rows, { pair });
      await bert.dispose();
      const vit = await hw.openModel((await golden("vit")).folder);
      await expectError(expect, "unsupported", ["headReport", "images"], () => hw.headReport(vit, rows));
      await vit.dispose();
    },
  },
  {
    name: "text is tokens: in reports, metrics and patches",
    async run({ hw, expect }) {
      const model = await hw.openModel(await changed("gpt2", { files: tokenizerFiles }));
      const texts = rows.map((row) => words(...row));
      const named = { clean: texts[0], corrupted: words(...pair.corrupted), answer: "word9", against: "word4" };
      const [ours, theirs] = [
        await hw.headReport(model, texts, { pair: named }),
        await hw.headReport(model, rows, { pair }),
      ];
      expect(ours).to.deep.equal(theirs);
      const [{ token, text }] = ours.heads[0].writes.raises;
      expect(text).to.equal(model.tokenizer.decode([token]));
      expect(ours.table).to.include(JSON.stringify(text));
      const progress = [];
      await hw.headReport(model, texts, { onProgress: (each) => progress.push(each.done / each.total) });
      expect(progress.at(-1)).to.equal(1);
      progress.reduce((before, after) => (expect(after).to.be.at.least(before), after));
      const { clean, corrupted, ...metric } = named;
      const options = { at: "heads", by: "head" };
      const [byText, byTokens] = [
        await hw.patch(model, clean, corrupted, { ...options, metric }),
        await hw.patch(model, pair.clean, pair.corrupted, { ...options, metric: { answer: 9, against: 4 } }),
      ];
      expect(byText).to.deep.equal(byTokens);
      const lens = await hw.logitLens(model, texts[0]);
      expect(lens).to.deep.equal(await hw.logitLens(model, rows[0]));
      const ablated = await hw.ablateHeads(model, texts, { with: "zero", metric: { answer: "word9" } });
      expect(ablated).to.deep.equal(await hw.ablateHeads(model, rows, { with: "zero", metric: { answer: 9 } }));
      await expectError(expect, "invalid-option", ["metric.answer", "one token", '"word1 word2" of 2'], () =>
        hw.patch(model, clean, corrupted, { ...options, metric: { answer: "word1 word2" } }),
      );
      await model.dispose();
    },
  },
];
