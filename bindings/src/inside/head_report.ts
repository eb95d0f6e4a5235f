/** What the field writes about heads, of every head at once. */
import { analyzeHeads } from "../attention/analyze_heads.js";
import { integer, invalidOption, oneOf, readList } from "../base/checks.js";
import { part, type LongWork } from "../base/long_work.js";
import type { Tensor, Tokens } from "../base/types.js";
import { optional, readOptions, withDefault, type OptionTable } from "../base/options.js";
import { importanceOf } from "../heads/importance.js";
import type { Instance } from "../runtime/instance.js";
import type { CheckedTokens } from "../transformer/tokens.js";
import type { Model } from "../transformer/transformer.js";
import { attributeLogits } from "./attribute_logits.js";
import { attributionPatch } from "./attribution_patch.js";
import { patterns, rowsOfTokens, scoresOf, textsFor } from "./detect_heads.js";
import { hasDirectLogits, headWrites, writeSteps } from "./head_writes.js";
import { checkTextModel, eachLayer, tokensFor } from "./model.js";
import { checkTextBatches } from "./texts.js";
import type { HeadReport, HeadReportOptions, ReportedHead, ReportPair } from "./types.js";

const pairTable = {
  clean: (value) => value,
  corrupted: (value) => value,
  answer: (value) => value,
  against: (value) => value,
  position: (value) => value,
} satisfies OptionTable<ReportPair>;

const optionTable = {
  importance: optional(oneOf(["gradient", "gradient-entropy", "confidence", "norm", "leave-one-out"])),
  top: withDefault(integer(0, 1000), 5),
  pair: optional((value, name) => readOptions(value, name, pairTable, `${name}.`)),
} satisfies OptionTable<HeadReportOptions>;

/** Texts of any length as one batch, filled up at the right, and its mask. */
function padded(model: Model, value: unknown): { tokens: CheckedTokens; mask: CheckedTokens } {
  const list = readList(value, "texts", "an array of texts");
  if (list.length === 0) throw invalidOption("texts", "at least one text", list);
  const rows = list.flatMap((each, n) => rowsOfTokens(tokensFor(model, each, `texts[${n}]`)));
  const length = rows.reduce((most, row) => Math.max(most, row.length), 0);
  const shape = [rows.length, length];
  const [tokens, mask] = [0, 1].map(() => new Int32Array(rows.length * length));
  rows.forEach((row, b) => {
    tokens!.set(row, b * length);
    mask!.fill(1, b * length, b * length + row.length);
  });
  const as = (data: Int32Array) => ({ data, shape, batch: rows.length, length });
  return { tokens: as(tokens!), mask: as(mask!) };
}

/** Statistics of the heads of a layer over the tokens that are no padding. */
function statisticsOf(
  instance: Instance,
  { config }: Model,
  layer: number,
  weights: Tensor,
  tokens: CheckedTokens,
  mask: CheckedTokens,
) {
  if (weights.data.length === 0) return [];
  const { batch: B, length: L } = tokens;
  const visible = new Uint8Array(B * L * L);
  for (let n = 0; n < visible.length; ++n) {
    const b = Math.floor(n / (L * L));
    visible[n] = mask.data[b * L + (Math.floor(n / L) % L)]! & mask.data[b * L + (n % L)]!;
  }
  const window = config.layerOptions[layer]!.window;
  return analyzeHeads(instance, weights, {
    ...{ causal: config.causal, tokens, mask: { data: visible, shape: [B, 1, L, L] } },
    ...(window && { window }),
  });
}

type Roles = ReportedHead["roles"];

/** Scores of the heads of a layer on random tokens, twice. */
function rolesOf(weights: Tensor, random: CheckedTokens): Roles[] {
  const options = { error: "mul", excludeBos: false, excludeCurrentToken: false, rounded: false } as const;
  const names = Object.keys(patterns) as (keyof Roles)[];
  const scores = names.map((name) => scoresOf(weights, rowsOfTokens(random), patterns[name], options));
  return scores[0]!.map(
    (_, h) => Object.fromEntries(names.map((name, n) => [name, scores[n]![h]!])) as unknown as Roles,
  );
}

export function* headReport(
  instance: Instance,
  modelLike: unknown,
  textsLike: unknown,
  optionsLike?: HeadReportOptions,
): LongWork<HeadReport> {
  const { importance: wanted, top, pair } = readOptions(optionsLike, "headReport", optionTable);
  const model = checkTextModel(modelLike, instance, "headReport");
  const { config } = model;
  const { tokens, mask } = padded(model, textsLike);
  const N = config.layers;
  const predicts = config.head && config.causal;
  const method = wanted ?? (predicts ? "gradient" : "norm");
  if (!predicts && method !== "norm" && method !== "confidence")
    throw invalidOption(
      "importance",
      '"norm" or "confidence", of a model that does not predict the next token',
      method,
    );
  const direct = hasDirectLogits(model) && top > 0;
  const total = 2 * N + 10 + (direct ? writeSteps(model) : 0) + (pair ? 4 : 0);
  let done = 0;
  const step = () => ({ done: ++done, total });
  const random = textsFor(model, { tokens: undefined, random: undefined });
  const statistics: ReturnType<typeof statisticsOf>[] = [];
  const roles: Roles[][] = [];
  const capture = { weights: "probabilities" } as const;
  const floatsOf = ({ batch, length }: CheckedTokens) => batch * length * length;
  for (const [n, { weights }] of eachLayer(model, tokens, capture, floatsOf(tokens), { mask })) {
    statistics.push(statisticsOf(instance, model, n, weights!, tokens, mask));
    yield step();
  }
  for (const [, { weights }] of eachLayer(model, random, capture, floatsOf(random))) {
    roles.push(rolesOf(weights!, random));
    yield step();
  }
  // Each text for itself: padding must not count.
  const rows = rowsOfTokens(tokens).map((row, b) =>
    row.slice(0, mask.data.subarray(b * tokens.length).indexOf(0) >>> 0),
  );
  const batches = checkTextBatches(rows, "texts", model);
  const options = { method, normalize: undefined, seed: 0 } as const;
  const importance = yield* part(importanceOf(instance, model, batches, options), done, done + 10, total);
  done += 10;
  const writes = direct ? yield* headWrites(model, tokens, mask, top, step) : undefined;
  let effects: { attribution: Float32Array; patching: Float32Array } | undefined;
  if (pair) {
    const { clean, corrupted, ...metric } = pair as ReportPair & { clean: Tokens; corrupted: Tokens }; // texts are tokens here
    const parts = yield* part(
      attributeLogits(instance, model, clean, { ...metric, by: "head" }),
      done,
      done + 2,
      total,
    );
    const work = attributionPatch(instance, model, clean, corrupted, { at: "heads", by: "head", metric });
    const patched = yield* part(work, done + 2, done + 4, total);
    effects = { attribution: parts.heads!.data, patching: patched.data };
  }
  let index = 0;
  const heads = config.heads.flatMap((list, layer) =>
    list.map((head, h): ReportedHead => {
      const at = layer * config.numHeads + head;
      return {
        ...{
          layer,
          head,
          attention: statistics[layer]![h]!,
          roles: roles[layer]![h]!,
          importance: importance[layer]![h]!,
        },
        ...(writes && { writes: writes[index++]! }),
        ...(effects && { attribution: effects.attribution[at]!, patching: effects.patching[at]! }),
      };
    }),
  );
  return { tokens: mask.data.reduce((sum, one) => sum + one, 0), importance: method, heads, table: "" };
}
