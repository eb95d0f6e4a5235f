import {
  checkBoolean,
  checkInt32Array,
  integer,
  invalidOption,
  invalidShape,
  float32,
  refuseOtherLength,
} from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { optional, readOptions, withDefault, type Checked, type OptionTable } from "../base/options.js";
import { checkTensor, refuseOtherShape } from "../base/tensor.js";
import type { Tensor, TensorLike } from "../base/types.js";
import type { Instance } from "../runtime/instance.js";
import { checkHeads, widthOf } from "./shapes.js";
import { checkScaling } from "./rope_scaling.js";
import type { ResolvedRope, RopeConfig, RopePairs, RopeScaling, RotaryEmbeddingOptions } from "./types.js";

/** What rotates, and how fast. */
const pairsTable = {
  base: optional(float32("> 0")),
  dim: optional(integer(2)),
  interleaved: withDefault(checkBoolean, false),
} satisfies OptionTable<RopePairs>;

export const ropeTable = { ...pairsTable, scaling: optional(checkScaling) } satisfies OptionTable<RopeConfig>;

const optionTable = {
  ...pairsTable,
  numHeads: optional(integer(1)),
  positions: optional(checkInt32Array),
  cos: optional(checkTensor),
  sin: optional(checkTensor),
} satisfies OptionTable<RotaryEmbeddingOptions>;

/** Fills in the defaults for this head width. `prefix`: of the options' names in messages. */
export function fitRope(
  { base = 10000, dim, interleaved, scaling }: Checked<typeof pairsTable> & { scaling?: RopeScaling | undefined },
  headDim: number,
  prefix = "",
): ResolvedRope {
  const rotated = dim ?? headDim;
  if (rotated % 2 !== 0 || rotated < 2 || rotated > headDim)
    throw invalidOption(`${prefix}dim`, `an even integer from 2 to D = ${headDim}, its default`, rotated);
  return { base, dim: rotated, interleaved, ...(scaling && { scaling }) };
}

/** Cosines and sines, [rows, dim / 2] where positions name the rows, else [B, L, dim / 2]. */
function refuseOtherTables(
  cos: Tensor,
  sin: Tensor,
  positions: Int32Array | undefined,
  tokens: readonly number[],
  pairs: number,
): void {
  const rows = cos.shape[0] ?? 0;
  const expected = positions === undefined ? [...tokens, pairs] : [rows, pairs];
  refuseOtherShape(cos, "cos", expected);
  refuseOtherShape(sin, "sin", expected);
  const wrong = positions?.find((row) => row < 0 || row >= rows);
  if (wrong !== undefined) throw invalidOption("positions", `rows of cos, from 0 to ${rows - 1}`, wrong);
}

export function rotaryEmbedding(instance: Instance, xLike: TensorLike, optionsLike?: RotaryEmbeddingOptions): Tensor {
  const input = checkTensor(xLike, "x");
  const options = readOptions(optionsLike, "rotaryEmbedding", optionTable);
  const { positions, cos, sin } = options;
  const rank = input.shape.length;
  if (rank !== 3 && rank !== 4) throw invalidShape("x", "rank 3 [B, L, H*D] or 4 [B, H, L, D]", input.shape);
  const heads = checkHeads(rank, options.numHeads, "numHeads") ?? input.shape[1]!;
  const headDim = widthOf(input, "x", heads, "numHeads");
  const [batch, length] = [input.shape[0]!, input.shape[rank - 2]!];
  const rope = fitRope(options, headDim);
  if (positions) refuseOtherLength(positions, "positions", batch * length);
  if (cos || sin) {
    if (options.base !== undefined)
      throw new HeadwiseError("invalid-option", "base: may not be given together with cos and sin");
    if (!cos || !sin)
      throw invalidOption(cos ? "sin" : "cos", "a tensor, because cos and sin are needed together", undefined);
    refuseOtherTables(cos, sin, positions, [batch, length], rope.dim / 2);
  }
  return instance.engine.call({ input, positions, cos, sin }, { output: input.shape }, (engine, staged) => {
    const extents = { batch, heads, length, headDim, headsFirst: rank === 4 };
    staged.check(engine.rotaryEmbedding({ ...extents, ...rope, ...staged.pointers }));
    return staged.results("output").output;
  });
}
