// The attention of every head of GPT-2 on a text, as JSON: node examples/gpt2-heads/heads.mjs openai-community/gpt2 "The cat sat"
import { load } from "headwise";
import { sourceOf } from "../source.mjs";

const [name = "openai-community/gpt2", text = "The cat sat on the mat, because it was tired."] = process.argv.slice(2);

const hw = await load();
const model = await hw.openModel(sourceOf(name));
const { tokens } = model.tokenizer.tokenize(text);
const { layers } = model.forward(text, { logits: "none", capture: { weights: "probabilities" } });
const heads = layers.flatMap(({ weights }, layer) =>
  hw.analyzeHeads(weights, { causal: true }).map((statistics, head) => ({ layer, head, ...statistics })),
);
console.log(JSON.stringify({ tokens, heads, weights: layers.map(({ weights }) => Array.from(weights.data)) }));
hw.dispose();
