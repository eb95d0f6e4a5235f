/** Text to tokens and back, as a model's tokenizer.json and tokenizer_config.json say. */
import { checkBoolean, integer, invalidOption, oneOf, show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { isObject, typeTag } from "../base/kinds.js";
import { optional, readOptions, withDefault, type Checked, type OptionTable } from "../base/options.js";
import { fileError } from "../files/place.js";
import type { DecodeOptions, EncodeOptions, TextBatch, TextBatchOptions, Tokenizer } from "./tokenizer_types.js";

/** What we use of @huggingface/tokenizers. */
export interface TokenizerLibrary {
  readonly Tokenizer: new (
    tokenizer: object,
    config: object,
  ) => {
    encode(text: string, options: { add_special_tokens: boolean }): { ids: number[]; tokens: string[] };
    decode(ids: number[], options: { skip_special_tokens: boolean }): string;
    token_to_id(token: string): number | undefined;
    id_to_token(id: number): string | undefined;
  };
}

const file = "tokenizer.json";
/** From here on, model_max_length means that there is no limit. */
const noLimit = 1e9;

const sides = ["left", "right"] as const;
type Side = (typeof sides)[number];

const sideOf = (...values: unknown[]): Side =>
  String(values.find((value) => typeof value === "string")).toLowerCase() === "left" ? "left" : "right";

/** A member of a JSON object that is an object itself. */
function member(object: object, name: string): Record<string, unknown> {
  const value = (object as Record<string, unknown>)[name];
  return isObject(value) ? value : {};
}

const encodeTable = {
  specialTokens: withDefault(checkBoolean, true),
  maxTokens: optional(integer(1)),
} satisfies OptionTable<EncodeOptions>;

const batchTable = {
  ...encodeTable,
  paddingSide: optional(oneOf(sides)),
} satisfies OptionTable<TextBatchOptions>;

const decodeTable = { specialTokens: withDefault(checkBoolean, true) } satisfies OptionTable<DecodeOptions>;

function checkText(text: unknown, name: string): string {
  if (typeof text !== "string") throw invalidOption(name, "a string", text);
  return text;
}

/**
 * @param config of tokenizer_config.json; `{}` where there is none
 * @param sentences of sentence_bert_config.json, whose limit counts before those of the other files, and which may ask for lower case
 */
export function openTokenizer(
  { Tokenizer: Library }: TokenizerLibrary,
  json: unknown,
  config: unknown = {},
  sentences: unknown = {},
): Tokenizer {
  if (!isObject(json) || !isObject(json.model)) throw fileError(file, "it has no model");
  if (!isObject(config)) throw fileError("tokenizer_config.json", "it is not an object");
  if (!isObject(sentences)) throw fileError("sentence_bert_config.json", "it is not an object");
  let library: InstanceType<TokenizerLibrary["Tokenizer"]>;
  try {
    // The library's default differs from that of transformers, which changes decoded text only where the file asks for it.
    library = new Library(json, { clean_up_tokenization_spaces: false, ...config });
  } catch (error) {
    throw fileError(file, `it cannot be used: ${(error as Error).message}`, error);
  }

  const lowerCase = sentences.do_lower_case === true;
  const padding = member(json, "padding");
  const truncation = member(json, "truncation");
  const isLimit = (length: unknown): length is number => typeof length === "number" && length > 0 && length < noLimit;
  const limits = isLimit(sentences.max_seq_length)
    ? [sentences.max_seq_length]
    : [truncation.max_length, config.model_max_length];
  const lengths = limits.filter(isLimit);
  const maxTokens = lengths.length > 0 ? Math.min(...lengths) : undefined;
  const paddingSide = sideOf(config.padding_side, padding.direction);
  const truncationSide = sideOf(config.truncation_side, truncation.direction);
  const padName = isObject(config.pad_token) ? config.pad_token.content : config.pad_token;
  const padOfName = typeof padName === "string" ? library.token_to_id(padName) : undefined;
  const padId = padOfName ?? (Number.isInteger(padding.pad_id) ? (padding.pad_id as number) : undefined);

  /** Ids and tokens; what is too long loses tokens of the text, not those that surround it. */
  function run(value: unknown, name: string, { specialTokens, maxTokens: most }: Checked<typeof encodeTable>) {
    const given = checkText(value, name);
    const text = lowerCase ? given.toLowerCase() : given;
    const { ids, tokens } = library.encode(text, { add_special_tokens: specialTokens });
    if (most === undefined || ids.length <= most) return { ids, tokens };
    const own = specialTokens ? library.encode(text, { add_special_tokens: false }).ids : ids;
    const around = ids.length - own.length;
    let before = 0;
    while (before < around && own.some((id, n) => id !== ids[before + n])) ++before;
    const kept = most - around;
    if (kept < 0) throw invalidOption("maxTokens", `at least the ${around} special tokens`, most);
    const start = truncationSide === "left" ? own.length - kept : 0;
    const pick = <T>(list: T[]) => [
      ...list.slice(0, before),
      ...list.slice(before + start, before + start + kept),
      ...list.slice(before + own.length),
    ];
    return { ids: pick(ids), tokens: pick(tokens) };
  }

  return Object.freeze({
    maxTokens,
    paddingSide,
    padId,
    encode: (text, options) => Int32Array.from(run(text, "text", readOptions(options, "encode", encodeTable)).ids),
    tokenize(text, options) {
      const { ids, tokens } = run(text, "text", readOptions(options, "tokenize", encodeTable));
      return { ids: Int32Array.from(ids), tokens };
    },
    encodeBatch(texts: readonly string[], optionsLike?: TextBatchOptions): TextBatch {
      if (!Array.isArray(texts) || texts.length === 0) throw invalidOption("texts", "strings, one at least", texts);
      const chosen = readOptions(optionsLike, "encodeBatch", batchTable);
      const side = chosen.paddingSide ?? paddingSide;
      const rows = texts.map((text, n) => run(text, `texts[${n}]`, chosen).ids);
      const length = Math.max(...rows.map((row) => row.length));
      const shape = [rows.length, length];
      const tokens = new Int32Array(rows.length * length).fill(padId ?? 0);
      const mask = new Int32Array(tokens.length);
      rows.forEach((row, n) => {
        const start = n * length + (side === "left" ? length - row.length : 0);
        tokens.set(row, start);
        mask.fill(1, start, start + row.length);
      });
      return { tokens: { data: tokens, shape }, mask: { data: mask, shape } };
    },
    decode(ids, optionsLike?: DecodeOptions) {
      const { specialTokens } = readOptions(optionsLike, "decode", decodeTable);
      if (typeTag(ids) !== "Int32Array" && !Array.isArray(ids)) throw invalidOption("ids", "an Int32Array", ids);
      const list = Array.from(ids);
      const unknown = list.find((id) => library.id_to_token(id) === undefined);
      if (unknown !== undefined)
        throw new HeadwiseError("invalid-option", `ids: the tokenizer has no token ${show(unknown)}`);
      return list.length === 0 ? "" : library.decode(list, { skip_special_tokens: !specialTokens });
    },
  } satisfies Tokenizer);
}
