/** Sentences in the order of their similarity to the first of the embeddings, [1 + sentences, E], each of length 1. */
export function nearest({ data, shape: [, width] }, sentences) {
  const query = data.subarray(0, width);
  const similarity = (row) => query.reduce((sum, value, i) => sum + value * data[row * width + i], 0);
  return sentences
    .map((sentence, i) => ({ sentence, similarity: similarity(i + 1) }))
    .sort((a, b) => b.similarity - a.similarity);
}
