/** The public types of tokenizers. */

/** How a text becomes tokens. */
export interface EncodeOptions {
  /** Whether to add what the model expects around a text, such as [CLS] and [SEP]. Default true. */
  specialTokens?: boolean;
  /** The most tokens of a text, special ones included: the text loses its end, or its start where the files say so. Default: no limit. */
  maxTokens?: number;
}

export interface TextBatchOptions extends EncodeOptions {
  /** Where shorter texts are filled up. Default: as the files say, else "right". */
  paddingSide?: "left" | "right";
}

/** Options of `Tokenizer.decode`. */
export interface DecodeOptions {
  /** Whether special tokens appear in the text. Default true. */
  specialTokens?: boolean;
}

/** Integers [B, L]: one text a row. */
export interface TextRows {
  /** Elements, row-major. */
  readonly data: Int32Array;
  /** [texts, length]. */
  readonly shape: readonly number[];
}

/** Several texts, filled up to the longest. */
export interface TextBatch {
  /** Token ids, [texts, length], padded. */
  readonly tokens: TextRows;
  /** 1 for tokens of the texts, 0 for padding: Hugging Face's attention_mask. */
  readonly mask: TextRows;
}

/** Turns text into a model's tokens and back. Its methods are synchronous, in `headwise/worker` too. */
export interface Tokenizer {
  /** The most tokens that the files allow; undefined where they name no limit. */
  readonly maxTokens: number | undefined;
  /** On which side shorter texts are padded. */
  readonly paddingSide: "left" | "right";
  /** The token that fills up shorter texts; undefined where the files name none (0 stands there, and is masked). */
  readonly padId: number | undefined;
  /** A text's tokens, [L]. Throws `invalid-option` unless it is a string. */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /** The same, with the tokens as the vocabulary spells them ("Ġworld", "##ing"). */
  tokenize(text: string, options?: EncodeOptions): { ids: Int32Array; tokens: string[] };
  /** Several texts as one batch. */
  encodeBatch(texts: readonly string[], options?: TextBatchOptions): TextBatch;
  /** The text of tokens. Throws `invalid-option` for a token that is not in the vocabulary. */
  decode(ids: Int32Array | readonly number[], options?: DecodeOptions): string;
}
