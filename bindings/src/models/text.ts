/** Text in and text out of opened models: on the caller's thread, where the tokenizer is. */
import { invalidOption } from "../base/checks.js";
import { typeTag } from "../base/kinds.js";
import { HeadwiseError } from "../base/errors.js";
import type { Tokens } from "../base/types.js";
import type { ResolvedTransformerConfig } from "../transformer/types.js";
import type { EmbedInput, GeneratedText } from "./opened_types.js";
import type { Tokenizer } from "./tokenizer_types.js";

export const isText = (input: unknown): input is string | readonly string[] =>
  typeof input === "string" || (Array.isArray(input) && typeof input[0] === "string");

function checkTokenizer(tokenizer: Tokenizer | undefined): Tokenizer {
  if (tokenizer !== undefined) return tokenizer;
  throw new HeadwiseError("invalid-option", "the model has no tokenizer.json: expected tokens, got text");
}

/** What `forward` reads of text, and its options: several texts are padded, and the mask says where. */
export function encodeInput<Options extends object>(
  tokenizer: Tokenizer | undefined,
  input: string | readonly string[],
  options: Options | undefined,
): [Tokens, Options | undefined] {
  const known = checkTokenizer(tokenizer);
  if (typeof input === "string") return [known.encode(input), options];
  if (options && "mask" in options && options.mask !== undefined)
    throw new HeadwiseError("invalid-option", "mask: texts have one of their own; expected none");
  const { tokens, mask } = known.encodeBatch(input);
  return [tokens, { ...(options as Options), mask }];
}

/** The most tokens that a model takes. With RoBERTa's positions it is less than the number of positions. */
export const mostTokens = ({ contextLength, positionsFrom }: ResolvedTransformerConfig): number =>
  contextLength - (positionsFrom === "order" ? 0 : positionsFrom.padding + 1);

/** The tokens of each text that is to be embedded. Longer texts lose their end, as in sentence-transformers. */
export function encodeRows(
  tokenizer: Tokenizer | undefined,
  texts: EmbedInput,
  config: ResolvedTransformerConfig,
): Int32Array[] {
  const list: readonly unknown[] = Array.isArray(texts) ? texts : [texts];
  if (list.length === 0) throw invalidOption("embed", "a text at least", texts);
  const known = list.some((text) => typeof text === "string") ? checkTokenizer(tokenizer) : undefined;
  const maxTokens = Math.min(known?.maxTokens ?? Infinity, mostTokens(config));
  return list.map((text, n) => {
    const name = Array.isArray(texts) ? `texts[${n}]` : "texts";
    const tokens = typeof text === "string" ? known!.encode(text, { maxTokens }) : text;
    if (typeTag(tokens) !== "Int32Array") throw invalidOption(name, "text, or an Int32Array of tokens", text);
    if ((tokens as Int32Array).length === 0) throw invalidOption(name, "one token at least", text);
    return tokens as Int32Array;
  });
}

/** A text that grows token by token. Decoders look at neighbours, so each piece is the difference of two texts. */
export class TextPieces {
  readonly #tokenizer: Tokenizer;
  readonly #tokens: number[];
  #start: number; // where decoding begins
  #shown: number; // tokens whose text has been given

  constructor(tokenizer: Tokenizer, prompt: Int32Array) {
    this.#tokenizer = tokenizer;
    this.#tokens = [...prompt];
    this.#shown = prompt.length;
    this.#start = Math.max(prompt.length - 6, 0);
  }

  next(token: number): GeneratedText {
    this.#tokens.push(token);
    const before = this.#decode(this.#shown);
    const now = this.#decode(this.#tokens.length);
    if (now.endsWith("\uFFFD") || now.length < before.length) return { token, text: "" };
    this.#start = this.#shown;
    this.#shown = this.#tokens.length;
    return { token, text: now.slice(before.length) };
  }

  #decode(end: number): string {
    return this.#tokenizer.decode(this.#tokens.slice(this.#start, end), { specialTokens: false });
  }
}

/** A prompt's tokens, and what turns generated tokens into text. */
export function startText(
  tokenizer: Tokenizer | undefined,
  prompt: string,
): { tokens: Int32Array; pieces: TextPieces } {
  const known = checkTokenizer(tokenizer);
  const tokens = known.encode(prompt);
  return { tokens, pieces: new TextPieces(known, tokens) };
}
