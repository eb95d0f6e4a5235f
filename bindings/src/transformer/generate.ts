/** Generating tokens: one step of the core a token, and a choice by the logits. */
import { checkInteger, float64, integer, invalidShape, maxExtent, readList, seed } from "../base/checks.js";
import { net } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { optional, readOptions, withDefault, type OptionTable } from "../base/options.js";
import { random } from "../base/random.js";
import type { Tensor, Tokens } from "../base/types.js";
import { freeing, type Handle } from "../runtime/instance.js";
import type { NativeModel, NativeSequence } from "../runtime/native.js";
import { dependsOnLength, setFrequencies } from "./call.js";
import { chooseToken } from "./choose_token.js";
import { checkEdits, editWords } from "./edits.js";
import { keyValueBytes } from "./native_config.js";
import { checkTokens } from "./tokens.js";
import type { GenerateOptions, ResolvedTransformerConfig } from "./types.js";

const nothingCaptured = { captures: 0, weightsStage: 0, headOutput: 0 };
const decodeState = "keys and values, with scratch";

const optionTable = {
  maxTokens: integer(0),
  temperature: withDefault(float64(">= 0"), 1),
  topK: optional(integer(1)),
  topP: withDefault(float64("> 0 and <= 1"), 1),
  stop: (value = [], name) => new Set(readList(value, name, "tokens").map((token) => integer(0)(token, name))),
  seed: withDefault(seed, 0),
  edits: (value = [], name) => ({ value, name }), // checked with the model, whose layers they name
} satisfies OptionTable<GenerateOptions>;

/** Checks what `generate` is given. */
export function checkGenerate(promptLike: Tokens, optionsLike: GenerateOptions, config: ResolvedTransformerConfig) {
  const { vocabSize, causal, head } = config;
  if (!causal || !head)
    throw new HeadwiseError("invalid-option", "generate: only a causal model with logits predicts what comes next");
  const { data: prompt, batch, shape } = checkTokens(promptLike, "prompt", vocabSize, maxExtent);
  if (batch !== 1) throw invalidShape("prompt", "one sequence, [L] or [1, L]", shape);
  const { topK = vocabSize, edits: given, ...options } = readOptions(optionsLike, "generate", optionTable);
  const edits = checkEdits(given.value, given.name, config, [], config.contextLength, true);
  return { prompt, topK, edits, ...options };
}

export function generate(
  handle: Handle<NativeModel>,
  config: ResolvedTransformerConfig,
  options: ReturnType<typeof checkGenerate>,
): Generator<number, void, void> {
  const state = { free: () => {} };
  const generator = steps(handle, config, options, state);
  net.register(generator, () => state.free()); // if it is abandoned before its end
  return generator;
}

function* steps(
  handle: Handle<NativeModel>,
  config: ResolvedTransformerConfig,
  { prompt, maxTokens, stop, seed, edits, ...choice }: ReturnType<typeof checkGenerate>,
  state: { free: () => void },
): Generator<number, void, void> {
  const { vocabSize, contextLength } = config;
  const { instance } = handle;
  const tokenBytes = keyValueBytes(config); // once: it takes 3 % of a small model's step
  const dynamic = dependsOnLength(config);
  const unchanged = dynamic ?? contextLength; // longer texts are read anew for each token
  const half = Math.max(contextLength >> 1, 1);
  let context = Array.from(prompt.length > contextLength ? prompt.subarray(-half) : prompt);
  let fresh = context; // tokens that the model has not seen
  const draw = random(seed);
  let sequence: NativeSequence | undefined;
  try {
    for (let n = 0; n < maxTokens; ++n) {
      if (sequence === undefined) {
        const started = handle.alive().startSequence();
        if (started === null) throw instance.outOfMemory(tokenBytes * context.length, decodeState);
        sequence = started;
        state.free = freeing(instance, started);
      }
      if (context.length > contextLength) {
        fresh = context = context.slice(-half);
        handle.alive();
        sequence.reset();
      }
      if (context.length > unchanged) {
        fresh = context;
        handle.alive();
        sequence.reset();
      }
      if (dynamic !== undefined) setFrequencies(handle, config, context.length);
      const decoded = sequence;
      const inputs = { ...edits.arrays, fresh: Int32Array.from(fresh) } as Record<string, Int32Array | Tensor>;
      const outputs = { logits: [vocabSize], edits: [edits.count * editWords] };
      const { logits } = handle.call(inputs, outputs, (model, staged) => {
        const pointers: Readonly<Record<string, number>> = staged.pointers;
        staged.write("edits", edits.words(pointers));
        const inside = { ...nothingCaptured, edits: pointers.edits!, editCount: edits.count };
        const status = model.decode(decoded, pointers.fresh!, fresh.length, pointers.logits!, inside);
        instance.check(status, tokenBytes * context.length, decodeState);
        return staged.results("logits");
      });
      const token = chooseToken(logits.data, choice, draw);
      if (stop.has(token)) return;
      fresh = [token];
      context.push(token);
      yield token;
    }
  } finally {
    state.free();
  }
}
