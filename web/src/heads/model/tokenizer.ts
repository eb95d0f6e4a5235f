import type { Token } from "../subject";

/** tokenizer.json: a SentencePiece unigram vocabulary, ids are indices. */
export interface Vocabulary {
  /** How many pieces at the beginning are never found in text; the first of them stands for unknown characters. */
  readonly reserved: number;
  readonly maxTokens: number;
  readonly pieces: readonly string[];
  /** Logarithm of each piece's probability. */
  readonly scores: readonly number[];
}

/** The id of a run of unknown characters. */
const UNKNOWN = 0;
const SPACE = "▁";

/**
 * Splits text into the pieces whose scores add up to the most (Kudo 2018), by the Viterbi algorithm. Gives the same ids as
 * the model's own TensorFlow.js tokenizer, which is why this is not `@huggingface/tokenizers`: that one breaks ties the
 * other way ("!!!!!!!", "------"), finds "<s>" in text, and splits differently where the vocabulary has lost a score (":").
 */
export function createTokenizer({ reserved, maxTokens, pieces, scores }: Vocabulary): (text: string) => Token[] {
  const ids = new Map(pieces.map((piece, id) => [piece, id] as const).slice(reserved));
  const longest = Math.max(...pieces.map((piece) => piece.length));

  /** For every end in the text, the id of the last piece of the best way to split text[0, end). */
  function bestLastPieces(text: string): Int32Array {
    const last = new Int32Array(text.length + 1).fill(UNKNOWN);
    const best = new Float64Array(text.length + 1); // sum of scores; 0: nothing ends here yet (the reference, too)
    for (let end = 1; end <= text.length; end++) {
      for (let start = Math.max(0, end - longest); start < end; start++) {
        // Every character of a piece is a piece: where none is found, the character is unknown, at no cost.
        const id = ids.get(text.slice(start, end)) ?? (end - start === 1 ? UNKNOWN : undefined);
        if (id === undefined) continue;
        const score = best[start] + scores[id];
        if (best[end] === 0 || score >= best[end]) {
          best[end] = score;
          last[end] = id;
        }
      }
    }
    return last;
  }

  return (text) => {
    const normal = text.normalize("NFKC");
    if (normal === "") return [];
    const spaced = SPACE + normal.replaceAll(" ", SPACE);
    const last = bestLastPieces(spaced);
    const tokens: Token[] = [];
    for (let end = spaced.length; end > 0; end -= pieces[last[end]].length) {
      const id = last[end];
      const continues = id === UNKNOWN && tokens.at(-1)?.id === UNKNOWN;
      if (!continues) tokens.push({ id, piece: pieces[id], ...(id === UNKNOWN && { unknown: true }) });
    }
    return tokens.reverse().slice(0, maxTokens);
  };
}
