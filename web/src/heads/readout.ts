/** The cell that the reader is at, in words and as a number. */
import { labelOf } from "./labels";
import { decimals } from "../numbers";
import type { Session } from "./session.svelte";
import type { Side } from "./side.svelte";
import { headMatrix } from "./statistics";

export interface Readout {
  readonly text: string;
  readonly value: number;
}

export function readout(session: Session, side: Side, name: string): Readout {
  const { cell, place, look } = side;
  const { tokens, weights, causal } = side.shown!;
  const { layer, head } = session.shown;
  const token = (index: number) => `'${labelOf(tokens[index])}'`;
  if (place.kind === "weights" || look?.layer !== layer) {
    const value = headMatrix(weights[layer], head).data[cell.query * tokens.length + cell.key];
    const said = causal && cell.key > cell.query ? "masked" : decimals(value);
    return { value, text: `query ${token(cell.query)} → key ${token(cell.key)}: ${said}, head ${name}` };
  }
  const matrix = headMatrix(look[place.kind], head);
  const feature = Math.min(place.feature, matrix.shape[1] - 1);
  const value = matrix.data[cell.query * matrix.shape[1] + feature];
  const what = place.kind === "outputs" ? "own output" : "contribution";
  return { value, text: `${what} of ${token(cell.query)}, feature ${feature + 1}: ${decimals(value)}, head ${name}` };
}
