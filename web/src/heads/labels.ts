/** Tokens in words: what a label, a tick or the live region says. */
import type { Token } from "./subject";

/** "▁" marks the start of a word in SentencePiece vocabularies. */
const WORD_START = "▁";

export const startsWord = (token: Token): boolean => token.piece.startsWith(WORD_START);

/** The piece without its mark; a lone mark shows as a visible blank. */
export function labelOf(token: Token): string {
  const text = startsWord(token) ? token.piece.slice(WORD_START.length) : token.piece;
  return text === "" ? "␣" : text;
}

/** Which of `count` labels, `pitch` pixels apart, fit when each needs `room`: every k-th, and always the active one. */
export function visibleLabels(count: number, pitch: number, room: number, active: number | null): boolean[] {
  const step = Math.max(1, Math.ceil(room / Math.max(pitch, 0.01)));
  return Array.from({ length: count }, (_, i) => {
    if (i === active) return true;
    const covered = active !== null && Math.abs(i - active) * pitch < room;
    return i % step === 0 && !covered;
  });
}

/** Indices of the largest values whose labels do not overlap at `pitch` pixels a row: the largest first. */
export function strongest(values: ArrayLike<number>, pitch: number, room: number): Set<number> {
  const placed = new Set<number>();
  const order = Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a]);
  for (const i of order) if ([...placed].every((j) => Math.abs(i - j) * pitch >= room)) placed.add(i);
  return placed;
}
