/** A transformer's forward pass, and what is captured of its layers on the way. */
import { weightsStages } from "../attention/attention.js";
import { checkInteger, readList } from "../base/checks.js";
import { group, optional, readOptions, type OptionTable } from "../base/options.js";
import { product } from "../base/tensor.js";
import type { Tensor, Tokens } from "../base/types.js";
import { numberOfHeadOutput, returnTable } from "../module/multi_head_attention.js";
import type { Handle } from "../runtime/instance.js";
import type { NativeModel } from "../runtime/native.js";
import { checkTokens, refuseTooLarge } from "./tokens.js";
import type { Capture, ResolvedTransformerConfig, TransformerResult } from "./types.js";

const optionTable = {
  capture: group({
    ...returnTable,
    layers: optional((value, name) => readList(value, name, "an array of layer indices")),
  } satisfies OptionTable<Capture>),
} satisfies OptionTable<{ capture?: Capture }>;

export function forward(
  handle: Handle<NativeModel>,
  config: ResolvedTransformerConfig,
  tokensLike: Tokens,
  optionsLike: { capture?: Capture } | undefined,
): TransformerResult {
  const { vocabSize, contextLength, embedDim, headDim, heads } = config;
  const tokens = checkTokens(tokensLike, "tokens", vocabSize, contextLength);
  const { capture } = readOptions(optionsLike, "forward", optionTable);
  const chosen = capture.layers?.map((layer) => checkInteger(layer, "capture.layers", 0, config.layers - 1));
  const captured = new Set(chosen ?? heads.keys());
  const { batch, length } = tokens;
  const leading = tokens.shape.slice(0, -1);
  const width = capture.heads === "values" ? headDim : embedDim;
  const captures: Record<string, number[] | undefined> = {};
  for (const [n, { length: H }] of heads.entries()) {
    captures[`weights ${n}`] = capture.weights && captured.has(n) ? [...leading, H, length, length] : undefined;
    captures[`heads ${n}`] = capture.heads && captured.has(n) ? [...leading, H, length, width] : undefined;
  }
  const names = Object.keys(captures);
  refuseTooLarge(handle.instance, product(tokens.shape) * Math.max(embedDim, config.feedForwardDim));
  return handle.call(
    { tokens: tokens.data },
    { logits: [...tokens.shape, vocabSize], table: [names.length], ...captures } as Record<
      string,
      number[] | undefined
    >,
    (native, staged) => {
      const at = (name: string) => staged.pointers[name]!;
      staged.write("table", names.map(at));
      const capturing = {
        logits: at("logits"),
        captures: captured.size === 0 ? 0 : at("table"),
        weightsStage: weightsStages.indexOf(capture.weights ?? "probabilities"),
        headOutput: numberOfHeadOutput(capture.heads),
      };
      staged.check(native.forward({ batch, length, tokens: at("tokens"), targets: 0 }, capturing));
      const results: Record<string, Tensor | undefined> = staged.results("logits", ...names);
      return {
        logits: results.logits!,
        layers: heads.map((_, n) => {
          const [weights, heads] = [results[`weights ${n}`], results[`heads ${n}`]];
          return { ...(weights && { weights }), ...(heads && { heads }) };
        }),
      };
    },
  );
}
