/** The logit lens: what the model would answer after each layer. */
import { checkBoolean, oneOf, readList } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Tensor, Tokens } from "../base/types.js";
import { counter } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import { checkLanguageModel, checkPosition, rowOf, tokensFor, unsupported } from "./model.js";
import type { LogitLensOptions } from "./types.js";
import { refuseBentHead, unembed, unembedSteps } from "./unembed.js";

const optionTable = {
  positions: (value = "last", name) =>
    value === "last" || value === "all" ? value : readList(value, name, '"last", "all" or an array of positions'),
  norm: withDefault(oneOf(["own", "frozen"]), "own"),
  middle: withDefault(checkBoolean, false),
} satisfies OptionTable<LogitLensOptions>;

/** The residual stream before, (between the sublayers of) and after the layers. */
const streams = (middle: boolean) => (middle ? (["before", "middle"] as const) : (["before"] as const));

export function* logitLens(
  instance: Instance,
  modelLike: unknown,
  tokensLike: Tokens,
  optionsLike?: LogitLensOptions,
): LongWork<Tensor> {
  const { positions: wanted, norm, middle } = readOptions(optionsLike, "logitLens", optionTable);
  const model = checkLanguageModel(modelLike, instance, "logitLens");
  const { config } = model;
  const frozen = norm === "frozen";
  if (frozen) refuseBentHead(model, 'logitLens, norm "frozen"');
  if (frozen && config.logitSoftcap > 0)
    throw unsupported(
      "logitLens",
      'the model caps its logits (logitSoftcap), so that norm "frozen" is no sum; expected norm "own"',
    );
  const tokens = tokensFor(model, tokensLike, "tokens");
  const { batch: B, length: L } = tokens;
  const positions =
    wanted === "last"
      ? [L - 1]
      : wanted === "all"
        ? Array.from({ length: L }, (_, i) => i)
        : wanted.map((position, n) => checkPosition(position, `positions[${n}]`, L));
  const places = streams(middle);
  const { layers } = model.forward(tokens, { capture: { stream: [...places, "after"] }, logits: "none" });
  const states = layers.flatMap(({ stream }) => places.map((place) => stream![place]!));
  states.push(layers.at(-1)!.stream!.after!);
  const P = positions.length;
  const rows = states.flatMap((state) =>
    Array.from({ length: B * P }, (_, n) => rowOf(state, Math.floor(n / P) * L + positions[n % P]!)),
  );
  const E = config.embedDim;
  const whole = new Float32Array((rows.length + 1) * E); // and a row of zeros, whose logits are those of the biases
  rows.forEach((row, n) => whole.set(row, n * E));
  const used = frozen ? whole : whole.subarray(0, rows.length * E);
  const V = config.vocabSize;
  const { logits, scales } = yield* unembed(model, used, counter(unembedSteps(model, used.length / E)));
  if (frozen) {
    const biases = logits.subarray(rows.length * V);
    rows.forEach((_, n) => {
      const factor = scales[n]! / scales[(states.length - 1) * B * P + (n % (B * P))]!;
      for (let v = 0; v < V; ++v) logits[n * V + v] = (logits[n * V + v]! - biases[v]!) * factor + biases[v]!;
    });
  }
  return { data: logits.slice(0, rows.length * V), shape: [states.length, B, P, V] };
}
