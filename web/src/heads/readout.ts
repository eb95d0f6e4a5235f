/** The cell that the reader is at, in words and as a number: what the live region says. */
import { labelOf } from "./labels";
import { decimals } from "../numbers";
import type { Session } from "./session.svelte";

export interface Readout {
  readonly text: string;
  readonly value: number;
}

export function readout(session: Session, name: string): Readout {
  const { query, key, place, result } = session;
  const view = session.head(session.shown);
  const token = (index: number) => `'${labelOf(result.tokens[index])}'`;
  if (place.kind === "weights") {
    const value = view.weights.data[query * result.tokens.length + key];
    const said = result.causal && key > query ? "masked" : decimals(value);
    return { value, text: `query ${token(query)} → key ${token(key)}: ${said}, ${name}` };
  }
  const matrix = view[place.kind];
  const feature = Math.min(place.feature, matrix.shape[1] - 1);
  const value = matrix.data[query * matrix.shape[1] + feature];
  // The cached pictures are kept in coarse steps, and their values say so.
  const about = result.milliseconds === null ? "≈ " : "";
  const what = place.kind === "values" ? "own output" : "contribution";
  return { value, text: `${what} of ${token(query)}, feature ${feature + 1}: ${about}${decimals(value)}, ${name}` };
}
