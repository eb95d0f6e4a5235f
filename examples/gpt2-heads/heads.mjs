// The attention of every head of GPT-2 on a text, as JSON: npm start -- openai-community/gpt2 "The cat sat"
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { load } from "headwise";

const [name = "openai-community/gpt2", text = "The cat sat on the mat, because it was tired."] = process.argv.slice(2);

const hw = await load();
const model = await hw.openModel(existsSync(name) ? pathToFileURL(`${resolve(name)}/`) : { hub: name });
const { tokens } = model.tokenizer.tokenize(text);
const { layers } = model.forward(text, { logits: "none", capture: { weights: "probabilities" } });
const heads = layers.flatMap(({ weights }, layer) =>
  hw.analyzeHeads(weights, { causal: true }).map((statistics, head) => ({ layer, head, ...statistics })),
);
console.log(JSON.stringify({ tokens, heads, weights: layers.map(({ weights }) => Array.from(weights.data)) }));
hw.dispose();
