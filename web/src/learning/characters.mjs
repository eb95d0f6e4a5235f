// Text as a model of characters sees it: a token for each character of its vocabulary.

/**
 * @param {string} vocabulary every character once, in the order of their tokens
 */
export function characters(vocabulary) {
  const all = [...vocabulary];
  const tokens = new Map(all.map((character, token) => [character, token]));
  return {
    size: all.length,
    /** Characters that are not in the vocabulary are left out. @param {string} text @returns {Int32Array} */
    encode: (text) => Int32Array.from([...text].flatMap((character) => tokens.get(character) ?? [])),
    /** @param {Iterable<number>} list */
    decode: (list) => Array.from(list, (token) => all[token]).join(""),
  };
}

/**
 * Stretches of a text to predict, each token from those before it in its row: tokens and targets, both [rows, length].
 * @param {Int32Array} text tokens
 * @param {readonly number[]} starts where each row begins
 * @param {number} length of a row; start + length + 1 tokens must be there
 */
export function stretches(text, starts, length) {
  const shape = [starts.length, length];
  const tokens = new Int32Array(starts.length * length);
  const targets = new Int32Array(starts.length * length);
  starts.forEach((start, row) => {
    tokens.set(text.subarray(start, start + length), row * length);
    targets.set(text.subarray(start + 1, start + 1 + length), row * length);
  });
  return { tokens: { data: tokens, shape }, targets: { data: targets, shape } };
}

/**
 * Batches that cover `count` rows, spread evenly over a text and always the same.
 * @param {Int32Array} text tokens
 * @param {{ length: number, count: number, batch: number }} sizes rows of `length`, `batch` at a time
 */
export function evenBatches(text, { length, count, batch }) {
  const last = text.length - length - 1;
  const starts = Array.from({ length: count }, (_, n) => Math.floor((n * last) / Math.max(count - 1, 1)));
  return Array.from({ length: Math.ceil(count / batch) }, (_, n) =>
    stretches(text, starts.slice(n * batch, (n + 1) * batch), length),
  );
}
