/** A transformer's forward pass, and what is captured and changed of its layers on the way. */
import { invalidOption, oneOf } from "../base/checks.js";
import { group, readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Tensor } from "../base/types.js";
import type { Handle } from "../runtime/instance.js";
import type { NativeModel } from "../runtime/native.js";
import { callModel } from "./call.js";
import { captureTable, stageCapture } from "./capture.js";
import { checkEdits, editWords } from "./edits.js";
import { checkInput, inputTable, lastRows, readInput } from "./input.js";
import type { ModelInput, ResolvedTransformerConfig, TransformerOptions, TransformerResult } from "./types.js";

const optionTable = {
  ...inputTable,
  logits: withDefault(oneOf(["all", "last", "none"]), "all"),
  capture: group(captureTable),
  edits: (value = [], name) => ({ value, name }), // checked with the input, whose shape they must fit
} satisfies OptionTable<TransformerOptions>;

export function forward(
  handle: Handle<NativeModel>,
  config: ResolvedTransformerConfig,
  inputLike: ModelInput,
  optionsLike: TransformerOptions | undefined,
): TransformerResult {
  const { vocabSize, embedDim, labels, projectionDim, pooler } = config;
  const rows = readInput(inputLike, config);
  const { logits: wanted, capture, edits: given, ...options } = readOptions(optionsLike, "forward", optionTable);
  const input = checkInput(rows, options, config);
  const { leading, length } = input;
  if (labels > 0 && wanted === "last")
    throw invalidOption("logits", '"all" or "none", since they are of classes', wanted);
  const captured = stageCapture(capture, config, leading, length);
  const edits = checkEdits(given.value, given.name, config, leading, length);
  const classes = labels + projectionDim;
  const logitRows = config.head && wanted === "last" ? lastRows(input) : undefined;
  const tensors: Record<string, readonly number[] | undefined> = {
    logits: !config.head || wanted === "none" ? undefined : [...leading, ...(logitRows ? [] : [length]), vocabSize],
    hidden: [...leading, length, embedDim],
    normScale: capture.normScales && config.finalNorm ? [...leading, length, 1] : undefined,
    pooled: pooler === "none" ? undefined : [...leading, embedDim],
    classes: classes === 0 || (labels > 0 && wanted === "none") ? undefined : [...leading, classes],
    ...captured.shapes,
  };
  const outputs = { ...tensors, captures: [captured.words({}).length], edits: [edits.count * editWords] };
  return callModel(handle, config, input, { logitRows, ...edits.arrays }, outputs, (native, call, staged) => {
    const at = (name: string) => staged.pointers[name]!;
    const captures = captured.words(staged.pointers);
    staged.write("captures", captures);
    staged.write("edits", edits.words(staged.pointers));
    const inside = {
      ...captured.call,
      captures: captures.length === 0 ? 0 : at("captures"),
      edits: at("edits"),
      editCount: edits.count,
    };
    const results = {
      ...{ logits: at("logits"), logitRows: at("logitRows"), hidden: at("hidden"), pooled: at("pooled") },
      ...{ classes: at("classes"), normScale: at("normScale"), inside },
    };
    staged.check(native.forward(call, results));
    const read: Record<string, Tensor | undefined> = staged.results(...Object.keys(tensors));
    const { logits = labels > 0 ? read.classes : undefined, hidden, normScale, pooled } = read;
    const embedding = projectionDim > 0 ? read.classes : undefined;
    return {
      ...(logits && { logits }),
      hidden: hidden!,
      ...(normScale && { normScale }),
      ...(pooled && { pooled }),
      ...(embedding && { embedding }),
      layers: captured.layers(read),
    };
  });
}
