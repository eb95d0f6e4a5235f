/** The inputs of a module's forward pass. */
import { invalidShape } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { checkTensor, isSame, isTensorLike, refuseOtherShape } from "../base/tensor.js";
import type { Tensor, TensorLike } from "../base/types.js";
import type { ForwardOptions, ResolvedConfig } from "./types.js";

/** The core's Inputs: self-attention; keys and values from the same input; three inputs. */
export const [kSelf, kMemory, kAll] = [0, 1, 2] as const;

/** Reads the arguments of forward in its three forms, and checks the shapes against the configuration. */
export function forwardInputs(
  { embedDim, keyDim, valueDim }: ResolvedConfig,
  given: readonly (TensorLike | ForwardOptions | undefined)[],
) {
  const args = [...given];
  const dropUndefined = () => {
    while (args.length > 1 && args.at(-1) === undefined) args.pop();
  };
  dropUndefined();
  const optionsLike = args.length > 1 && !isTensorLike(args.at(-1)) ? (args.pop() as ForwardOptions) : undefined;
  dropUndefined();
  if (args.length > 3) {
    throw new HeadwiseError(
      "invalid-option",
      "forward: expected (query), (query, memory) or (query, key, value), then options",
    );
  }
  const names = [
    ["query", "query (as key)", "query (as value)"],
    ["query", "memory", "memory (as value)"],
    ["query", "key", "value"],
  ][args.length - 1]!;
  const [query, key = query!, value = key!] = args.map((t, n) => checkTensor(t, names[n]!)) as [
    Tensor,
    Tensor?,
    Tensor?,
  ];
  const rank = query.shape.length;
  if (rank !== 2 && rank !== 3) throw invalidShape("query", `[B, L, ${embedDim}] or [L, ${embedDim}]`, query.shape);
  const leading = query.shape.slice(0, -2);
  const keys = key.shape.at(-2) ?? 1;
  const expected = [
    [...leading, query.shape.at(-2)!, embedDim],
    [...leading, keys, keyDim],
    [...leading, keys, valueDim],
  ];
  for (const [n, t] of [query, key, value].entries()) refuseOtherShape(t, names[n]!, expected[n]!);
  // Decided only here. Later code uses `inputs`.
  const inputs = isSame(key, query) && isSame(value, query) ? kSelf : isSame(value, key) ? kMemory : kAll;
  return { query, key, value, inputs, optionsLike };
}
