/** Text in the arguments of analyses, which becomes tokens where the tokenizer is: on the caller's side. */
import { HeadwiseError } from "../base/errors.js";
import { isObject } from "../base/kinds.js";
import { hasMembers } from "../base/options.js";
import { isTensorLike } from "../base/tensor.js";
import type { Tokenizer } from "../models/tokenizer_types.js";
import type { AnalysisName } from "./names.js";

/** Analyses whose second and third argument are texts. */
const readsTexts: readonly AnalysisName[] = [
  ...(["logitLens", "attributeLogits", "ablateHeads", "patch", "attributionPatch", "pathPatch"] as const),
  ...(["weighValues", "clusterHeads", "headReport", "shapleyValues", "learnGates"] as const),
];

function encodeText(tokenizer: Tokenizer | undefined, text: string, specialTokens: boolean): Int32Array {
  if (tokenizer !== undefined) return tokenizer.encode(text, { specialTokens });
  throw new HeadwiseError("invalid-option", "the model has no tokenizer.json: expected tokens, got text");
}

function encode(tokenizer: Tokenizer | undefined, value: unknown): unknown {
  if (typeof value === "string") return encodeText(tokenizer, value, true);
  return Array.isArray(value) && value.some((each) => typeof each === "string")
    ? value.map((each) => encode(tokenizer, each))
    : value;
}

/** A text of one token as this token. */
function encodeToken(tokenizer: Tokenizer | undefined, value: unknown, name: string): unknown {
  if (Array.isArray(value)) return value.map((each, n) => encodeToken(tokenizer, each, `${name}[${n}]`));
  if (typeof value !== "string") return value;
  const ids = encodeText(tokenizer, value, false);
  if (ids.length === 1) return ids[0];
  const shown = JSON.stringify(value);
  throw new HeadwiseError("invalid-option", `${name}: expected a text of one token, got ${shown} of ${ids.length}`);
}

/** The options that are text or have text in them. */
function encodeOptions(tokenizer: Tokenizer | undefined, options: Record<string, unknown>, prefix = "") {
  const changed: Record<string, unknown> = {};
  for (const name of ["answer", "against"])
    if (name in options) changed[name] = encodeToken(tokenizer, options[name], prefix + name);
  for (const name of ["clean", "corrupted", "tokens"])
    if (typeof options[name] === "string") changed[name] = encode(tokenizer, options[name]);
  for (const name of ["metric", "pair"]) {
    const inner = options[name];
    if (hasMembers(inner)) changed[name] = encodeOptions(tokenizer, inner, `${name}.`);
  }
  return Object.keys(changed).length === 0 ? options : { ...options, ...changed };
}

/** The arguments of an analysis, with tokens in the place of texts. */
export function encodeArguments(name: AnalysisName, args: readonly unknown[]): unknown[] {
  const [model] = args;
  const tokenizer = isObject(model) ? (model.tokenizer as Tokenizer | undefined) : undefined;
  return args.map((each, n) => {
    if (n > 0 && hasMembers(each) && !isTensorLike(each)) return encodeOptions(tokenizer, each);
    return n > 0 && readsTexts.includes(name) ? encode(tokenizer, each) : each;
  });
}

export { finishReport } from "./report_table.js";
