/** Changes of a forward pass at places of its layers. */
import { checkInteger, float32, integer, invalidOption, invalidShape, oneOf, readList } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { optional, readOptions, type OptionTable } from "../base/options.js";
import { checkTensor } from "../base/tensor.js";
import type { Tensor } from "../base/types.js";
import { norms, normsOf, places, placeShape, type PlaceName } from "./places.js";
import type { Edit, NormScales, ResolvedTransformerConfig } from "./types.js";

const placeOf: Record<Edit["at"], PlaceName> = {
  ...{ query: "queries", key: "keys", value: "values", weights: "weights", heads: "heads" },
  ...{ attention: "attention", feedForward: "feedForward" },
  ...{ before: "before", middle: "middle", stream: "after" },
  ...(Object.fromEntries(norms.map((name) => [name, name])) as Record<keyof NormScales, PlaceName>),
};

/** In the order of the core's numbers. */
const operations = ["set", "add", "scale"] as const;

const checkNumber = float32("");
const checkChange = optional((value: unknown, name: string): number | Tensor =>
  typeof value === "number" ? checkNumber(value, name) : checkTensor(value, name),
);

const editTable = {
  layer: integer(0),
  at: oneOf(Object.keys(placeOf) as Edit["at"][]),
  head: optional(integer(0)),
  tokens: optional((value, name) => readList(value, name, "an array of token indices")),
  set: checkChange,
  add: checkChange,
  scale: optional(checkNumber),
} satisfies OptionTable<Edit>;

/** Checked edits, as the core takes them. */
export interface StagedEdits {
  readonly count: number;
  /** Inputs of the call, by name. */
  readonly arrays: Readonly<Record<string, Tensor | Int32Array>>;
  /** The core's EditCall of each, once the inputs have addresses. */
  words(pointers: Readonly<Record<string, number>>): number[];
}

export const editWords = 11;

/** Strides of values that are repeated along axes of extent 1, as NumPy broadcasts them: batch, head, token, element. */
function stridesOf({ shape }: Tensor, whole: readonly number[], hasHeads: boolean, name: string): number[] {
  const missing = whole.length - shape.length;
  const fits = missing >= 0 && shape.every((extent, axis) => extent === 1 || extent === whole[missing + axis]);
  if (!fits) throw invalidShape(name, `[${whole.join(", ")}], or what broadcasts to it`, shape);
  const strides: number[] = [];
  let step = 1;
  for (let axis = shape.length; axis-- > 0; step *= shape[axis]!) strides.unshift(shape[axis] === 1 ? 0 : step);
  while (strides.length < whole.length) strides.unshift(0);
  if (!hasHeads) strides.splice(strides.length - 2, 0, 0);
  while (strides.length < 4) strides.unshift(0);
  return strides;
}

/**
 * Checks edits of a call on [...leading, length] tokens. `anyLength`: the text grows, so values must be the same for all tokens, and
 * a token may be any that the model knows.
 */
export function checkEdits(
  value: unknown,
  name: string,
  config: ResolvedTransformerConfig,
  leading: readonly number[],
  length: number,
  anyLength = false,
): StagedEdits {
  const arrays: Record<string, Tensor | Int32Array> = {};
  const checked = readList(value, name, "an array of edits").map((each, n) => {
    const prefix = `${name}[${n}]`;
    const edit = readOptions(each, prefix, editTable, `${prefix}.`);
    const layer = checkInteger(edit.layer, `${prefix}.layer`, 0, config.layers - 1);
    const given = operations.filter((operation) => edit[operation] !== undefined);
    if (given.length !== 1)
      throw new HeadwiseError("invalid-option", `${prefix}: expected one of set, add and scale, got ${given.length}`);
    const place = placeOf[edit.at];
    const own: readonly PlaceName[] = normsOf(config, layer);
    if (norms.includes(place as keyof NormScales) && !own.includes(place))
      throw invalidOption(`${prefix}.at`, `a norm of layer ${layer}: ${own}`, edit.at);
    const shape = placeShape(config, layer, place, length);
    const hasHeads = shape.length === 3;
    if (edit.head !== undefined && !hasHeads) throw invalidOption(`${prefix}.head`, `none at "${edit.at}"`, edit.head);
    if (edit.head !== undefined) checkInteger(edit.head, `${prefix}.head`, 0, shape[0]! - 1);
    if (edit.tokens !== undefined)
      arrays[`${prefix}.tokens`] = Int32Array.from(
        edit.tokens.map((token) => checkInteger(token, `${prefix}.tokens`, 0, length - 1)),
      ).sort();
    const operation = given[0]!;
    const change = edit[operation]!;
    const at = `${prefix}.${operation}`;
    const values = typeof change === "number" ? { data: Float32Array.of(change), shape: [] } : change;
    const grows = (axis: number) => anyLength && (axis === shape.length - 2 || (place === "weights" && axis > 0));
    const whole = [...leading, ...shape.map((extent, axis) => (grows(axis) ? 1 : extent))];
    arrays[at] = values; // with its shape, because a getter of a later edit may detach it
    const strides = stridesOf(values, whole, hasHeads, at);
    return {
      n,
      prefix,
      at,
      layer,
      place: places.indexOf(place),
      operation: operations.indexOf(operation),
      edit,
      strides,
    };
  });
  checked.sort((one, other) => one.layer - other.layer || one.place - other.place || one.n - other.n);
  return {
    count: checked.length,
    arrays,
    words: (pointers) =>
      checked.flatMap(({ prefix, at, layer, place, operation, edit, strides }) => [
        ...[layer, place, operation, edit.head ?? -1],
        ...[pointers[`${prefix}.tokens`] ?? 0, edit.tokens?.length ?? 0, pointers[at]!],
        ...strides,
      ]),
  };
}
