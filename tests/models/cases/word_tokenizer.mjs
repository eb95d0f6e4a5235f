// A tokenizer of words for the golden models, whose vocabulary has 97 tokens.
import { encode } from "./support.mjs";

const special = ["[PAD]", "[UNK]", "[MASK]"];
const words = [...special, ...Array.from({ length: 94 }, (_, n) => `word${n + special.length}`)];

/** A tokenizer of 97 words, as many as the golden models have. */
export const tokenizer = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: special.map((content, id) => ({
    ...{ id, content, special: true },
    ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
  })),
  normalizer: { type: "Lowercase" },
  pre_tokenizer: { type: "Whitespace" },
  post_processor: null,
  decoder: { type: "WordPiece", prefix: "##", cleanup: false },
  model: {
    type: "WordPiece",
    unk_token: "[UNK]",
    continuing_subword_prefix: "##",
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries(words.map((word, n) => [word, n])),
  },
};
export const tokenizerFiles = {
  "tokenizer.json": encode(tokenizer),
  "tokenizer_config.json": encode({ pad_token: "[PAD]", padding_side: "left" }),
};
