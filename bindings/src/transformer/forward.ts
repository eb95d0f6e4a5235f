/** A transformer's forward pass, and what is captured of its layers on the way. */
import { weightsStages } from "../attention/attention.js";
import { checkInteger, checkOneOf, checkOptions, invalidOption } from "../base/checks.js";
import { Staging, type Instance, type Slot } from "../runtime/instance.js";
import { headOutputs } from "../module/multi_head_attention.js";
import type { NativeModel } from "../runtime/native.js";
import { product } from "../base/tensor.js";
import { checkTokens, refuseTooLarge, StagedTokens } from "./tokens.js";
import type { Capture, ResolvedTransformerConfig, Tokens, TransformerResult } from "./types.js";

function checkLayers(layers: unknown, count: number): Set<number> {
  if (layers === undefined) return new Set(Array.from({ length: count }, (_, n) => n));
  if (!Array.isArray(layers)) throw invalidOption("capture.layers", "an array of layer indices", layers);
  return new Set(layers.map((layer) => checkInteger(layer, "capture.layers", 0, count - 1)));
}

/** @param alive throws where the model was disposed */
export function forward(
  instance: Instance,
  alive: () => NativeModel,
  config: ResolvedTransformerConfig,
  tokensLike: Tokens,
  optionsLike: { capture?: Capture } | undefined,
): TransformerResult {
  alive();
  const { vocabSize, contextLength, layers, embedDim, headDim, heads } = config;
  const tokens = checkTokens(tokensLike, "tokens", vocabSize, contextLength);
  const { capture: captureLike } = checkOptions(optionsLike, "forward", ["capture"]);
  const capture = checkOptions(captureLike, "capture", ["weights", "heads", "layers"]);
  if (capture.weights !== undefined) checkOneOf(capture.weights, "capture.weights", weightsStages);
  if (capture.heads !== undefined) checkOneOf(capture.heads, "capture.heads", ["values", "contributions"]);
  const captured = checkLayers(capture.layers, layers);
  const { length } = tokens;
  const native = alive(); // getters may have done anything
  const staging = new Staging(instance);
  const staged = new StagedTokens(staging, tokens);
  const leading = tokens.shape.slice(0, -1);
  const output = (shape: readonly number[]) => ({ shape, slot: staging.output(product(shape)) });
  const logits = output([...tokens.shape, vocabSize]);
  const outputs = heads.map(({ length: H }, n) => ({
    weights: capture.weights && captured.has(n) ? output([...leading, H, length, length]) : undefined,
    heads:
      capture.heads && captured.has(n)
        ? output([...leading, H, length, capture.heads === "values" ? headDim : embedDim])
        : undefined,
  }));
  const captures = staging.output(2 * layers);
  refuseTooLarge(instance, product(tokens.shape) * Math.max(embedDim, config.feedForwardDim));
  staging.place();
  staging.writePointers(
    captures,
    outputs.flatMap(({ weights, heads }) => [weights?.slot, heads?.slot]),
  );
  staging.check(
    native.forward(staged.call, {
      logits: staging.pointer(logits.slot),
      captures: captured.size === 0 ? 0 : staging.pointer(captures),
      weightsStage: weightsStages.indexOf(capture.weights ?? "probabilities"),
      headOutput: capture.heads === undefined ? 0 : headOutputs[capture.heads],
    }),
  );
  const read = ({ shape, slot }: { shape: readonly number[]; slot: Slot }) => ({ data: staging.read(slot), shape });
  return {
    logits: read(logits),
    layers: outputs.map(({ weights, heads }) => ({
      ...(weights && { weights: read(weights) }),
      ...(heads && { heads: read(heads) }),
    })),
  };
}
