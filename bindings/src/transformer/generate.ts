/** Generating tokens: one step of the core a token, and a choice by the logits. */
import { checkInteger, checkOptions, checkScale, invalidOption, maxExtent, typeTag } from "../base/checks.js";
import { net } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { freeing, Staging, type Instance } from "../runtime/instance.js";
import type { NativeModel, NativeSequence } from "../runtime/native.js";
import { random } from "../base/random.js";
import { checkTokens } from "./tokens.js";
import type { GenerateOptions, ResolvedTransformerConfig } from "./types.js";

/** A token, drawn from softmax(logits / temperature) of the `topK` largest; of equal ones, the first. */
export function choose(logits: Float32Array, temperature: number, topK: number, draw: () => number): number {
  const largest = logits.reduce((most, logit) => (logit > most ? logit : most), -Infinity);
  if (temperature === 0) return Math.max(logits.indexOf(largest), 0);
  const least = topK < logits.length ? logits.slice().sort().at(-topK)! : -Infinity;
  let places = topK; // ties at the end of the list
  for (const logit of logits) if (logit > least) --places;
  const weights = Array.from(logits, (logit) => {
    if (logit < least || (logit === least && places-- <= 0)) return 0;
    return Math.exp((logit - largest) / temperature);
  });
  let left = draw() * weights.reduce((sum, weight) => sum + weight, 0);
  const chosen = weights.findIndex((weight) => weight > 0 && (left -= weight) < 0);
  return chosen < 0 ? Math.max(logits.indexOf(largest), 0) : chosen; // rounding, or NaN
}

/** Checks what `generate` is given. */
export function checkGenerate(
  prompt: Int32Array | readonly number[],
  optionsLike: GenerateOptions,
  { vocabSize, causal }: ResolvedTransformerConfig,
) {
  if (!causal) throw new HeadwiseError("invalid-option", "generate: only a causal model predicts what comes next");
  let tokens = prompt as Int32Array;
  if (Array.isArray(prompt)) {
    tokens = Int32Array.from(prompt, (token, n) => checkInteger(token, `prompt[${n}]`, 0, vocabSize - 1));
  } else if (typeTag(prompt) !== "Int32Array") {
    throw invalidOption("prompt", "an Int32Array or an array of tokens", prompt);
  }
  const { data } = checkTokens(tokens, "prompt", vocabSize, maxExtent);
  const {
    maxTokens,
    temperature = 1,
    topK,
    seed = 0,
  } = checkOptions(optionsLike, "generate", ["maxTokens", "temperature", "topK", "seed"]);
  return {
    prompt: data,
    maxTokens: checkInteger(maxTokens, "maxTokens", 0, maxExtent),
    temperature: checkScale(temperature, "temperature"),
    topK: topK === undefined ? vocabSize : checkInteger(topK, "topK", 1, maxExtent),
    seed: checkInteger(seed, "seed", 0, 2 ** 32 - 1),
  };
}

/** @param alive throws where the model was disposed */
export function generate(
  instance: Instance,
  alive: () => NativeModel,
  config: ResolvedTransformerConfig,
  options: ReturnType<typeof checkGenerate>,
): Generator<number, void, void> {
  const state = { free: () => {} };
  const generator = steps(instance, alive, config, options, state);
  net.register(generator, () => state.free()); // perhaps nobody goes through it to its end
  return generator;
}

function* steps(
  instance: Instance,
  alive: () => NativeModel,
  { vocabSize, contextLength }: ResolvedTransformerConfig,
  { prompt, maxTokens, temperature, topK, seed }: ReturnType<typeof checkGenerate>,
  state: { free: () => void },
): Generator<number, void, void> {
  const half = Math.max(contextLength >> 1, 1);
  let context = Array.from(prompt.length > contextLength ? prompt.subarray(-half) : prompt);
  let fresh = context; // tokens that the model has not seen
  const draw = random(seed);
  let sequence: NativeSequence | undefined;
  try {
    for (let n = 0; n < maxTokens; ++n) {
      const model = alive();
      if (sequence === undefined) {
        const started = model.startSequence();
        if (started === null) throw instance.outOfMemory(0, "keys and values");
        sequence = started;
        state.free = freeing(instance, started);
      }
      if (context.length > contextLength) {
        fresh = context = context.slice(-half);
        sequence.length = 0;
      }
      const staging = new Staging(instance);
      const tokens = staging.input(Int32Array.from(fresh));
      const logits = staging.output(vocabSize);
      staging.place();
      staging.check(model.decode(sequence, staging.pointer(tokens), fresh.length, staging.pointer(logits)));
      const token = choose(staging.read(logits), temperature, topK, draw);
      fresh = [token];
      context.push(token);
      yield token;
    }
  } finally {
    state.free();
  }
}
