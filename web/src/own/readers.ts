/** How text becomes a model's tokens, and back. */
import type { Tokenizer, WorkerOpenedModel } from "headwise";
import type { Token } from "../heads/subject";
import { characters } from "../learning/characters.mjs";

export interface Reader {
  tokenize(text: string): readonly Token[];
  /** A token as people read it, "▁" before the beginning of a word. */
  pieceOf(id: number): string;
  /** The text of tokens. */
  decode(ids: readonly number[]): string;
  /** The only token of a text: undefined if it has none or more. */
  tokenOf(text: string): number | undefined;
}

/** Of letters, as our own small model reads them. */
export function letters(vocabulary: string): Reader {
  const all = characters(vocabulary);
  const pieceOf = (id: number) => all.decode([id]).replace(" ", "▁").replace("\n", "⏎");
  const ids = (text: string) => Array.from(all.encode(text));
  return {
    tokenize: (text) => ids(text).map((id) => ({ id, piece: pieceOf(id) })),
    pieceOf,
    decode: (list) => all.decode(list),
    tokenOf: (text) => only(ids(text)),
  };
}

/** Of an opened model: its tokenizer; without one, numbers are tokens. */
export const readerOf = ({ tokenizer, config }: WorkerOpenedModel): Reader =>
  tokenizer ? words(tokenizer) : numbers(config.vocabSize);

function words(tokenizer: Tokenizer): Reader {
  const spelled = (id: number, token: string | undefined) => {
    const text = tokenizer.decode([id]);
    if (text === "") return token ?? `#${id}`;
    if (token?.startsWith("##") || text.startsWith("##")) return text.replace(/^##/, "");
    // Vocabularies of bytes and of SentencePiece mark the beginnings of words; others mark what continues one.
    if (text.startsWith(" ")) return `▁${text.slice(1)}`;
    if (token?.startsWith("▁")) return `▁${text}`;
    return token === text ? `▁${text}` : text;
  };
  return {
    tokenize(text) {
      const { ids, tokens } = tokenizer.tokenize(text);
      return Array.from(ids, (id, i) => ({ id, piece: spelled(id, tokens[i]) }));
    },
    pieceOf: (id) => spelled(id, undefined),
    decode: (ids) => tokenizer.decode(ids),
    tokenOf: (text) => only(Array.from(tokenizer.encode(text, { specialTokens: false }))),
  };
}

function numbers(vocabSize: number): Reader {
  const ids = (text: string) => (text.match(/\d+/g) ?? []).map(Number).filter((id) => id < vocabSize);
  return {
    tokenize: (text) => ids(text).map((id) => ({ id, piece: `▁${id}` })),
    pieceOf: (id) => `▁${id}`,
    decode: (list) => list.join(" "),
    tokenOf: (text) => only(ids(text)),
  };
}

const only = (ids: readonly number[]): number | undefined => (ids.length === 1 ? ids[0] : undefined);
