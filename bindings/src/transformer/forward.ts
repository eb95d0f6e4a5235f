/** A transformer's forward pass, and what is captured of its layers on the way. */
import { weightsStages } from "../attention/attention.js";
import { checkInteger, invalidOption, oneOf, readList } from "../base/checks.js";
import { group, optional, readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Tensor } from "../base/types.js";
import { numberOfHeadOutput, returnTable } from "../module/multi_head_attention.js";
import type { Handle } from "../runtime/instance.js";
import type { NativeModel } from "../runtime/native.js";
import { callModel } from "./call.js";
import { checkInput, inputTable, lastRows, readInput } from "./input.js";
import type { Capture, ModelInput, ResolvedTransformerConfig, TransformerOptions, TransformerResult } from "./types.js";

const optionTable = {
  ...inputTable,
  logits: withDefault(oneOf(["all", "last", "none"]), "all"),
  capture: group({
    ...returnTable,
    layers: optional((value, name) => readList(value, name, "an array of layer indices")),
  } satisfies OptionTable<Capture>),
} satisfies OptionTable<TransformerOptions>;

export function forward(
  handle: Handle<NativeModel>,
  config: ResolvedTransformerConfig,
  inputLike: ModelInput,
  optionsLike: TransformerOptions | undefined,
): TransformerResult {
  const { vocabSize, embedDim, headDim, heads, labels, projectionDim, pooler } = config;
  const rows = readInput(inputLike, config);
  const { logits: wanted, capture, ...options } = readOptions(optionsLike, "forward", optionTable);
  const input = checkInput(rows, options, config);
  const { leading, length } = input;
  if (labels > 0 && wanted === "last")
    throw invalidOption("logits", '"all" or "none", since they are of classes', wanted);
  const chosen = capture.layers?.map((layer) => checkInteger(layer, "capture.layers", 0, config.layers - 1));
  const captured = new Set(chosen ?? heads.keys());
  const width = capture.heads === "values" ? headDim : embedDim;
  const captures: Record<string, number[] | undefined> = {};
  for (const [n, { length: H }] of heads.entries()) {
    captures[`weights ${n}`] = capture.weights && captured.has(n) ? [...leading, H, length, length] : undefined;
    captures[`heads ${n}`] = capture.heads && captured.has(n) ? [...leading, H, length, width] : undefined;
  }
  const names = Object.keys(captures);
  const classes = labels + projectionDim;
  const logitRows = config.head && wanted === "last" ? lastRows(input) : undefined;
  const outputs: Record<string, readonly number[] | undefined> = {
    logits: !config.head || wanted === "none" ? undefined : [...leading, ...(logitRows ? [] : [length]), vocabSize],
    hidden: [...leading, length, embedDim],
    pooled: pooler === "none" ? undefined : [...leading, embedDim],
    classes: classes === 0 || (labels > 0 && wanted === "none") ? undefined : [...leading, classes],
    table: [names.length],
    ...captures,
  };
  return callModel(handle, config, input, { logitRows }, outputs, (native, call, staged) => {
    const at = (name: string) => staged.pointers[name]!;
    staged.write("table", names.map(at));
    const results = {
      ...{ logits: at("logits"), logitRows: at("logitRows"), hidden: at("hidden"), pooled: at("pooled") },
      classes: at("classes"),
      captures: captured.size === 0 ? 0 : at("table"),
      weightsStage: weightsStages.indexOf(capture.weights ?? "probabilities"),
      headOutput: numberOfHeadOutput(capture.heads),
    };
    staged.check(native.forward(call, results));
    const { table: _, ...tensors } = outputs;
    const read: Record<string, Tensor | undefined> = staged.results(...Object.keys(tensors));
    const { logits = labels > 0 ? read.classes : undefined, hidden, pooled } = read;
    const embedding = projectionDim > 0 ? read.classes : undefined;
    return {
      ...(logits && { logits }),
      hidden: hidden!,
      ...(pooled && { pooled }),
      ...(embedding && { embedding }),
      layers: heads.map((_, n) => {
        const [weights, heads] = [read[`weights ${n}`], read[`heads ${n}`]];
        return { ...(weights && { weights }), ...(heads && { heads }) };
      }),
    };
  });
}
