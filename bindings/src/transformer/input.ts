/** The input of a model in one call: tokens or images, with mask, token types and positions. */
import { invalidOption, invalidShape } from "../base/checks.js";
import { hasMembers, optional, readOptions, type OptionTable } from "../base/options.js";
import { checkTensor, product, refuseOtherShape, sameShape } from "../base/tensor.js";
import type { Tensor } from "../base/types.js";
import { checkTokens, type CheckedTokens } from "./tokens.js";
import type { InputOptions, ResolvedTransformerConfig } from "./types.js";

const maxPosition = 2 ** 31 - 1;

/** Options of inputs, whose values are checked when the input is known. */
export const inputTable = {
  mask: (value) => value,
  tokenTypes: (value) => value,
  positions: (value) => value,
} satisfies OptionTable<InputOptions>;

type Config = ResolvedTransformerConfig;

/** A checked input, as copies that the caller cannot change. */
export interface CheckedInput {
  /** [] or [B], and L, rows of a sequence. */
  readonly leading: readonly number[];
  readonly batch: number;
  readonly length: number;
  /** Patches in height and width, of images of another size than the model's own. */
  readonly grid?: readonly [number, number];
  /** The arrays that the core reads, by the names of its call. */
  readonly arrays: Readonly<Record<string, Int32Array | Float32Array | undefined>>;
}

/** Reads the input itself, before any option: tokens, or the pixels of images. */
export function readInput(input: unknown, { patches, vocabSize, contextLength }: Config): CheckedTokens | Tensor {
  if (patches === undefined) return checkTokens(input, "tokens", vocabSize, contextLength);
  if (!hasMembers(input)) throw invalidOption("input", "{ pixels }", input);
  const pixels = checkTensor as (value: unknown, name: string) => Tensor;
  return readOptions<{ pixels: typeof pixels }>(input, "input", { pixels }).pixels;
}

/**
 * @param input as `readInput` has read it
 * @param options as `inputTable` has read them
 */
export function checkInput(
  input: CheckedTokens | Tensor,
  options: Record<string, unknown>,
  config: Config,
): CheckedInput {
  return config.patches === undefined
    ? checkSequences(input as CheckedTokens, options, config)
    : checkImages(input as Tensor, options, config);
}

function checkSequences(tokens: CheckedTokens, options: Record<string, unknown>, config: Config): CheckedInput {
  const { contextLength, tokenTypes: types, positions: kind, positionsFrom } = config;
  const { batch, length, shape } = tokens;
  const likeTokens = (name: string, below: number) =>
    optional((value) => {
      const given = checkTokens(value, name, below, maxPosition);
      if (!sameShape(given.shape, shape))
        throw invalidShape(name, `that of tokens, [${shape.join(", ")}]`, given.shape);
      return given.data;
    })(options[name], name);
  if (options.tokenTypes !== undefined && types === 0)
    throw invalidOption("tokenTypes", "none, since the model has no token types", options.tokenTypes);
  const mask = likeTokens("mask", 2);
  const tabled = kind === "learned" || kind === "sinusoidal";
  const given = likeTokens("positions", tabled ? contextLength : maxPosition);
  let positions = tabled || kind === "rotary" ? given : undefined;
  if (given === undefined && (tabled || kind === "rotary")) {
    if (positionsFrom !== "order")
      positions = counted(tokens.data, length, positionsFrom.padding, positionsFrom.padding + 1);
    else if (config.causal && mask) positions = counted(mask, length, 0, 0);
  }
  if (tabled && positions?.some((position) => position >= contextLength))
    throw invalidShape("tokens", `positions below contextLength = ${contextLength}`, shape);
  return {
    ...{ leading: shape.slice(0, -1), batch, length },
    arrays: {
      ...{ tokens: tokens.data, tokenTypes: likeTokens("tokenTypes", types), mask, positions },
      pooledRows: pooledRows(tokens.data, length, config),
    },
  };
}

/** Positions, counted from `first` over the elements of each row that are not `none`. An element `none` has the position first - 1, at least 0. */
function counted(values: Int32Array, length: number, none: number, first: number): Int32Array {
  let next = first;
  return values.map((value, n) => {
    if (n % length === 0) next = first;
    return value === none ? Math.max(first - 1, 0) : next++;
  });
}

/** The pooled row of each sequence. Undefined: the first rows. */
function pooledRows(tokens: Int32Array, length: number, { pooler, pooledRow }: Config): Int32Array | undefined {
  if (pooler === "none" || pooledRow === "first") return undefined;
  return Int32Array.from({ length: tokens.length / length }, (_, b) => {
    const row = tokens.subarray(b * length, (b + 1) * length);
    const wanted = pooledRow === "largest" ? row.reduce((most, token) => Math.max(most, token)) : pooledRow.token;
    return Math.max(row.indexOf(wanted), 0);
  });
}

function checkImages(pixels: Tensor, options: Record<string, unknown>, config: Config): CheckedInput {
  const { channels, size, grid, classToken, registerTokens } = config.patches!;
  for (const [name, value] of Object.entries(options))
    if (value !== undefined) throw invalidOption(name, "none, since the model reads images", value);
  const [batch = 0, , height = 0, width = 0] = pixels.shape;
  const own = config.positions === "learned" ? undefined : [batch, channels, grid[0] * size, grid[1] * size];
  if (own) refuseOtherShape(pixels, "pixels", own);
  if (
    !sameShape(pixels.shape, [batch, channels, height, width]) ||
    height % size !== 0 ||
    width % size !== 0 ||
    height * width === 0
  )
    throw invalidShape("pixels", `[B, ${channels}, height, width] with multiples of ${size}`, pixels.shape);
  const here: [number, number] = [height / size, width / size];
  return {
    ...{ leading: [batch], batch, length: here[0] * here[1] + Number(classToken) + registerTokens },
    ...(!sameShape(here, grid) && { grid: here }),
    arrays: { patches: patchesOf(pixels, size) },
  };
}

/** The patches of images [B, channels, height, width]: [B, patches, channels · size²]. */
function patchesOf({ data, shape }: Tensor, size: number): Float32Array {
  const [batch, channels, height, width] = shape as [number, number, number, number];
  const patches = new Float32Array(product(shape));
  let to = 0;
  for (let b = 0; b < batch; ++b)
    for (let y = 0; y < height; y += size)
      for (let x = 0; x < width; x += size)
        for (let c = 0; c < channels; ++c)
          for (let row = y; row < y + size; ++row) {
            const from = ((b * channels + c) * height + row) * width + x;
            patches.set(data.subarray(from, from + size), to);
            to += size;
          }
  return patches;
}

/** Reads targets: one per token, or one per sequence if the model has labels. A target of -1 is ignored. */
export function checkTargets(value: unknown, { leading, batch, length }: CheckedInput, config: Config): Int32Array {
  const { head, labels, vocabSize } = config;
  if (!head && labels === 0) throw invalidOption("targets", "none, since the model has no logits", value);
  const shape = labels > 0 ? [batch] : [...leading, length];
  const targets = checkTokens(value, "targets", labels > 0 ? labels : vocabSize, maxPosition, -1);
  if (!sameShape(targets.shape, shape)) throw invalidShape("targets", `[${shape.join(", ")}]`, targets.shape);
  return targets.data;
}

/** The last row of each sequence that is not padding. */
export function lastRows({ batch, length, arrays: { mask } }: CheckedInput): Int32Array {
  return Int32Array.from({ length: batch }, (_, b) => {
    const last = mask?.subarray(b * length, (b + 1) * length).lastIndexOf(1) ?? length - 1;
    return Math.max(last, 0);
  });
}
