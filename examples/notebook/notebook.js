// Cells, as in Observable: each shows its code and what it returns. Paste a cell into a notebook there with
//   headwise = import("https://cdn.jsdelivr.net/npm/headwise@0.2.0/dist/index.js")
import * as Plot from "@observablehq/plot";
import { load, tensor } from "headwise";

/** Runs a cell; shows its result, an element or a value, above its code. */
async function cell(work) {
  const value = await work();
  const shown =
    value instanceof Element
      ? value
      : Object.assign(document.createElement("output"), { textContent: JSON.stringify(value) });
  const code = Object.assign(document.createElement("pre"), { textContent: work.toString() });
  document.body.append(shown, code);
}

const hw = await load();
const words = ["the", "cat", "sat", "on", "the", "mat"];

await cell(() => hw.info.reason);

await cell(function heatMap() {
  const x = tensor(
    new Float32Array(words.length * 32).map((_, n) => Math.sin((n % 32) * words[Math.floor(n / 32)].charCodeAt(0))),
    [words.length, 32],
  );
  const attention = hw.multiHeadAttention({ embedDim: 32, numHeads: 2, seed: 1 });
  const { weights } = attention.forward(x, { causal: true, return: { weights: "probabilities" } });
  const cells = Array.from(weights.data, (weight, n) => {
    const [head, query, key] = [Math.floor(n / 36), Math.floor(n / 6) % 6, n % 6];
    return { head: `head ${head + 1}`, query, key, weight };
  });
  return Plot.plot({
    x: { tickFormat: (n) => words[n], label: "key" },
    y: { tickFormat: (n) => words[n], label: "query" },
    color: { scheme: "blues", legend: true, label: "weight" },
    marks: [Plot.cell(cells, { fx: "head", x: "key", y: "query", fill: "weight", tip: true })],
  });
});
