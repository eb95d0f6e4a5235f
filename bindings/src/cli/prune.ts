/** headwise prune: a smaller model without the heads that matter least. */
import type { Batch, Headwise, HeadImportance, ImportanceMethod, OpenedModel } from "../types.js";
import { checkOut, fileDtypes, withModel, writeModel, type SourceOptions } from "./models.js";
import { ProgressLine } from "./progress.js";
import { sampleText } from "./sample_text.js";
import { textsOf, UsageError } from "./usage.js";

interface PruneOptions extends SourceOptions {
  fraction?: unknown;
  count?: unknown;
  method?: unknown;
  text?: unknown;
  file?: unknown;
  seed?: unknown;
  out?: string;
  json?: boolean;
}

export const methods = [
  ...(["gradient", "gradient-entropy", "confidence", "norm", "leave-one-out", "random"] satisfies ImportanceMethod[]),
  ...(["shapley", "learned-gates"] as const),
];
type Method = (typeof methods)[number];

/** A number of an option, as the library of arguments reads it. */
function numberOf(value: unknown, name: string): number | undefined {
  if (value === undefined || typeof value === "number") return value;
  throw new UsageError(`--${name}: expected a number, got ${JSON.stringify(value)}`);
}

function methodOf(value: unknown, predicts: boolean): Method {
  if (value === undefined) return predicts ? "gradient" : "norm";
  if (!methods.includes(value as Method))
    throw new UsageError(`--method: expected one of ${methods.join(", ")}, got ${JSON.stringify(value)}`);
  if (!predicts && !["confidence", "norm", "random"].includes(value as Method))
    throw new UsageError(
      `--method: ${value} needs a model that predicts the next token; expected norm, confidence or random`,
    );
  return value as Method;
}

/** Each text as a sequence in which a token predicts the next one. */
function batchesOf({ tokenizer, config }: OpenedModel, texts: readonly string[], name: string): Batch[] {
  if (tokenizer === undefined) throw new UsageError(`${name} has no tokenizer.json, which reads texts`);
  return texts.map((text) => {
    const tokens = tokenizer.encode(text, { maxTokens: config.contextLength });
    return { tokens, targets: Int32Array.from(tokens, (_, n) => tokens[n + 1] ?? -1) };
  });
}

async function importanceOf(
  hw: Headwise,
  model: OpenedModel,
  batches: readonly Batch[],
  { method, seed }: { method: Method; seed: number | undefined },
  progress: ProgressLine,
): Promise<HeadImportance> {
  const options = { seed, onProgress: progress.at };
  if (method === "shapley") return (await hw.shapleyValues(model, batches, options)).importance;
  if (method === "learned-gates") return (await hw.learnGates(model, batches, options)).importance;
  return hw.headImportance(model, batches, { method, ...options });
}

export async function prune(name: string, options: PruneOptions): Promise<void> {
  const [fraction, count, seed] = (["fraction", "count", "seed"] as const).map((each) => numberOf(options[each], each));
  if ((fraction === undefined) === (count === undefined))
    throw new UsageError("prune: expected either --fraction, a share of the heads, or --count, a number of heads");
  const out = checkOut(options.out, name);
  const given = await textsOf(options);
  const progress = new ProgressLine();
  await withModel(name, options, progress, async ({ hw, model, files }) => {
    const predicts = model.config.head && model.config.causal;
    const method = methodOf(options.method, predicts);
    const batches = batchesOf(model, given.length > 0 ? given : sampleText, name);
    progress.start(`Measuring heads by ${method}`);
    const importance = await importanceOf(hw, model, batches, { method, seed }, progress);
    progress.start("Pruning");
    const loss = predicts ? { batches } : {};
    const pruned = hw.pruneByImportance(model, importance, { fraction, count, ...loss, onProgress: progress.at });
    progress.start(`Writing ${out}`);
    await writeModel(out, pruned.model.save({ dtype: fileDtypes[model.dtype] }), files);
    progress.end();
    const { removed, before, after } = pruned;
    if (options.json) return console.log(JSON.stringify({ method, removed, before, after, out }));
    const change = (what: string, show: (cost: typeof before) => string) =>
      console.log(`${what}: ${show(before)} → ${show(after)}`);
    console.log(`removed by ${method}: ${removed.map(({ layer, head }) => `${layer}.${head}`).join(" ")}`);
    if (before.loss !== undefined) change("loss", (cost) => cost.loss!.toFixed(4));
    change("parameters", ({ parameters }) => parameters.toLocaleString("en-US"));
    change("milliseconds", ({ milliseconds }) => milliseconds.toFixed(2));
    console.log(out);
  });
}
