/** headwise report: what there is to say of each head of a model. */
import { writeFile } from "node:fs/promises";

import type { OpenedModel } from "../types.js";
import { withModel, type SourceOptions } from "./models.js";
import { pictureOf } from "./png.js";
import { ProgressLine } from "./progress.js";
import { reportPage, type ReportContents } from "./report_page.js";
import { textsOf, UsageError } from "./usage.js";

interface ReportOptions extends SourceOptions {
  text?: unknown;
  file?: unknown;
  pair?: unknown;
  out?: unknown;
  json?: boolean;
}

/** "clean|corrupted|answer|distractor" */
function pairOf(value: unknown): ReportContents["pair"] {
  if (value === undefined) return undefined;
  const parts = String(value).split("|");
  if (parts.length !== 4 || parts.some((part) => part === ""))
    throw new UsageError(`--pair: expected "clean|corrupted|answer|distractor", got ${JSON.stringify(value)}`);
  const [clean, corrupted, answer, against] = parts as [string, string, string, string];
  return { clean, corrupted, answer, against };
}

/** Tokens of a picture, at most. */
const mostTokens = 64;

/** The attention of each head on a text. */
function mapsOf(model: OpenedModel, ids: Int32Array): ReportContents["maps"] {
  const { layers } = model.forward(ids, { capture: { weights: "probabilities" }, logits: "none" });
  return layers.flatMap(({ weights }, layer) => {
    const [rows, columns] = weights!.shape.slice(-2) as [number, number];
    return model.config.heads[layer]!.map((head, n) => {
      const own = weights!.data.subarray(n * rows * columns, (n + 1) * rows * columns);
      return { layer, head, image: pictureOf(own, rows, columns) };
    });
  });
}

export async function report(name: string, options: ReportOptions): Promise<void> {
  const pair = pairOf(options.pair);
  const given = await textsOf(options);
  const texts = given.length > 0 || pair === undefined ? given : [pair.clean];
  if (texts.length === 0) throw new UsageError('report: expected --text "…", --file or --pair');
  const progress = new ProgressLine();
  await withModel(name, options, progress, async ({ hw, model }) => {
    if (model.tokenizer === undefined) throw new UsageError(`${name} has no tokenizer.json, which reads texts`);
    progress.start("Measuring heads");
    const report = await hw.headReport(model, texts, {
      pair,
      onProgress: progress.at,
    });
    const { layers, numHeads } = model.config;
    const about = { name, architecture: model.architecture, layers, numHeads };
    const out = options.out === undefined ? undefined : String(options.out);
    if (options.json) {
      const json = `${JSON.stringify({ model: about, texts, pair, report }, null, 2)}\n`;
      progress.end();
      if (out === undefined) process.stdout.write(json);
      else await writeFile(out, json);
      return;
    }
    const { ids, tokens } = model.tokenizer.tokenize(texts[0]!, { maxTokens: mostTokens });
    const page = reportPage({ model: about, texts, pair, report, tokens, maps: mapsOf(model, ids) });
    const file = out ?? "report.html";
    await writeFile(file, page);
    progress.end();
    console.log(`${file}: ${report.heads.length} heads, ${Math.ceil(page.length / 1024)} KB`);
  });
}
