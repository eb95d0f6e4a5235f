// Which token comes next: ties, and what is left of a context that is full. transformer.mjs compares with a forward pass.
const collect = async (generator) => {
  const tokens = [];
  for await (const token of generator) tokens.push(token);
  return tokens;
};

const small = { contextLength: 8, layers: 1, feedForwardDim: 0, numHeads: 1, seed: 3 };

/** A model whose logits are these numbers, whatever its tokens. */
async function modelOfLogits(hw, logits) {
  const model = await hw.transformer({ ...small, vocabSize: logits.length, embedDim: 2, tieEmbeddings: false });
  const head = Float32Array.from(logits.flatMap((logit) => [logit, 0]));
  await model.setParameters({
    "norm.weight": { data: new Float32Array(2), shape: [2] },
    "norm.bias": { data: Float32Array.of(1, 0), shape: [2] },
    "head.weight": { data: head, shape: [logits.length, 2] },
  });
  return model;
}

export const generateCases = [
  {
    name: "topK and topP take as many as they say: of equal tokens the first, each as often as the softmax says",
    once: true,
    async run({ hw, expect }) {
      const logits = [0, 3, 5, 3, 3, -1, 3, 3];
      const model = await modelOfLogits(hw, logits);
      const draws = 1200;
      const order = [2, 1, 3, 4, 6, 7, 0, 5]; // at temperature 2 the first has 34 %, the next 12 % each, the last two 3 % and 2 %
      const all = [{ topK: 1 }, { topK: 2 }, { topK: 4 }, { topK: 7 }, { topK: 9 }];
      all.push({ topP: 0.3 }, { topP: 0.4 }, { topP: 0.7 }, { topP: 0.96 }, { topP: 1 }, { topP: 0.5, topK: 5 });
      const counts = [1, 2, 4, 7, 8, 1, 2, 4, 7, 8, 2];
      for (const [n, options] of all.entries()) {
        const label = JSON.stringify(options);
        const allowed = order.slice(0, counts[n]);
        const tokens = await collect(model.generate([0], { maxTokens: draws, ...options, temperature: 2, seed: 5 }));
        const weights = allowed.map((token) => Math.exp(logits[token] / 2));
        const sum = weights.reduce((total, weight) => total + weight, 0);
        expect(
          tokens.every((token) => allowed.includes(token)),
          `${label}: ${tokens}`,
        ).to.equal(true);
        allowed.forEach((token, m) => {
          const share = weights[m] / sum;
          const count = tokens.filter((drawn) => drawn === token).length;
          expect(count / draws, `${label}, token ${token}`).to.be.closeTo(share, 4.5 * Math.sqrt(share / draws));
        });
      }
      await model.dispose();
    },
  },
  {
    name: "a full context goes on from its last half, with positions that count from 0 again",
    async run({ hw, expect }) {
      for (const contextLength of [1, 7, 8]) {
        const model = await hw.transformer({ ...small, contextLength, vocabSize: 5, embedDim: 5, seed: 4 });
        const prompt = Array.from({ length: contextLength }, (_, n) => (2 * n) % 5);
        const tokens = await collect(model.generate(prompt, { maxTokens: 3 * contextLength + 2, temperature: 0 }));
        const half = Math.max(Math.floor(contextLength / 2), 1);
        const context = [...prompt];
        for (const [n, token] of tokens.entries()) {
          if (context.length > contextLength) context.splice(0, context.length - half);
          const { logits } = await model.forward(Int32Array.from(context));
          const last = [...logits.data.slice(-5)];
          const [best, second] = [...last].sort((a, b) => b - a);
          if (best - second > 1e-3) expect(token, `context ${contextLength}, token ${n}`).to.equal(last.indexOf(best));
          context.push(token);
        }
        await model.dispose();
      }
    },
  },
];
