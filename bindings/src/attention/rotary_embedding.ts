import { checkHeads, widthOf } from "./shapes.js";
import { checkArray, checkBoolean, checkOptions, invalidOption, invalidShape } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { Staging, type Instance } from "../runtime/instance.js";
import { checkTensor, product, refuseOtherShape } from "../base/tensor.js";
import type { RopeConfig, RotaryEmbeddingOptions } from "./types.js";
import type { Tensor, TensorLike } from "../base/types.js";

/** What turns, and how fast; with the defaults. `prefix`: of the options' names. */
export function checkRope(given: RopeConfig, headDim: number, prefix = ""): Required<RopeConfig> {
  const { base = 10000, dim = headDim, interleaved = false } = given;
  if (typeof dim !== "number" || dim % 2 !== 0 || dim < 2 || dim > headDim)
    throw invalidOption(`${prefix}dim`, `an even integer from 2 to D = ${headDim}, its default`, dim);
  const float = typeof base === "number" ? Math.fround(base) : 0;
  if (!(float > 0 && float < Infinity)) throw invalidOption(`${prefix}base`, "a finite float32 number > 0", base);
  return { base, dim, interleaved: checkBoolean(interleaved, `${prefix}interleaved`) };
}

/** Cosines and sines, [rows, dim / 2] where positions name the rows, else [B, L, dim / 2]. */
function checkTables(
  { cos: cosLike, sin: sinLike, base }: RotaryEmbeddingOptions,
  positions: Int32Array | undefined,
  tokens: readonly number[],
  pairs: number,
) {
  if (cosLike === undefined && sinLike === undefined) return undefined;
  if (base !== undefined) throw new HeadwiseError("invalid-option", "base: expected none beside cos and sin");
  const cos = checkTensor(cosLike, "cos");
  const sin = checkTensor(sinLike, "sin");
  const rows = cos.shape[0] ?? 0;
  const expected = positions === undefined ? [...tokens, pairs] : [rows, pairs];
  refuseOtherShape(cos, "cos", expected);
  refuseOtherShape(sin, "sin", expected);
  const wrong = positions?.find((row) => row < 0 || row >= rows);
  if (wrong !== undefined) throw invalidOption("positions", `rows of cos, from 0 to ${rows - 1}`, wrong);
  return { cos, sin };
}

export function rotaryEmbedding(instance: Instance, xLike: TensorLike, optionsLike?: RotaryEmbeddingOptions): Tensor {
  const staging = new Staging(instance);
  const x = checkTensor(xLike, "x");
  const rank = x.shape.length;
  if (rank !== 3 && rank !== 4) throw invalidShape("x", "rank 3 [B, L, H*D] or 4 [B, H, L, D]", x.shape);
  const options = checkOptions(optionsLike, "rotaryEmbedding", [
    "numHeads",
    "positions",
    "base",
    "dim",
    "interleaved",
    "cos",
    "sin",
  ]);
  const heads = checkHeads(rank, options.numHeads, "numHeads") ?? x.shape[1]!;
  const headDim = widthOf(x, "x", heads, "numHeads");
  const [batch, length] = [x.shape[0]!, x.shape[rank - 2]!];
  const rope = checkRope(options, headDim);
  const positions =
    options.positions === undefined
      ? undefined
      : checkArray<Int32Array>(options.positions, "positions", "Int32Array", batch * length);
  const tables = checkTables(options, positions, [batch, length], rope.dim / 2);
  const slots = {
    input: staging.tensor(x),
    output: staging.output(product(x.shape)),
    positions: positions && staging.input(positions, batch * length),
    cos: tables && staging.tensor(tables.cos),
    sin: tables && staging.tensor(tables.sin),
  };
  staging.place();
  staging.check(
    instance.engine.rotaryEmbedding({
      batch,
      heads,
      length,
      headDim,
      headsFirst: rank === 4,
      ...rope,
      input: staging.pointer(slots.input),
      output: staging.pointer(slots.output),
      positions: staging.pointer(slots.positions),
      cos: staging.pointer(slots.cos),
      sin: staging.pointer(slots.sin),
    }),
  );
  return { data: staging.read(slots.output), shape: x.shape };
}
