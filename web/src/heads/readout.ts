/** The cell that the reader is at, in words and as a number. */
import { labelOf } from "./labels";
import { decimals } from "../numbers";
import type { Session } from "./session.svelte";
import type { Side } from "./side.svelte";
import { headMatrix } from "./statistics";

/** Words, and tokens among them: a token may be written from right to left, whatever the words are. */
export type Part = string | { readonly token: string };

interface Readout {
  readonly parts: readonly Part[];
  /** The same in one. */
  readonly text: string;
  readonly value: number;
}

const readoutOf = (value: number, ...parts: Part[]): Readout => ({
  ...{ parts, value },
  text: parts.map((part) => (typeof part === "string" ? part : part.token)).join(""),
});

export function readout(session: Session, side: Side, name: string): Readout {
  const { cell, place, look } = side;
  const { tokens, weights, causal } = side.shown!;
  const { layer, head } = session.shown;
  const token = (index: number): Part => ({ token: labelOf(tokens[index]) });
  const known = (index: number) => (tokens[index].unknown ? "' (not in the vocabulary)" : "'");
  if (place.kind === "weights" || look?.layer !== layer) {
    const { query, key } = cell;
    const value = headMatrix(weights[layer], head).data[query * tokens.length + key];
    const said = causal && key > query ? "masked" : decimals(value);
    const [from, to] = [`${known(query)} → key '`, `${known(key)}: ${said}, head ${name}`];
    return readoutOf(value, "query '", token(query), from, token(key), to);
  }
  const matrix = headMatrix(look[place.kind], head);
  const feature = Math.min(place.feature, matrix.shape[1] - 1);
  const value = matrix.data[cell.query * matrix.shape[1] + feature];
  const what = place.kind === "outputs" ? "own output" : "contribution";
  const rest = `${known(cell.query)}, feature ${feature + 1}: ${decimals(value)}, head ${name}`;
  return readoutOf(value, `${what} of '`, token(cell.query), rest);
}
