/**
 * Writes src/heads/example.json: one run of the default sentence on the real model, by the page's own code and the built
 * library. Run it after a change of the model, the encoder or the sentence: `node web/tools/make-example.mjs ["sentence"]`.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import { createServer } from "vite";
import { load } from "../../dist/worker.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const output = here("../src/heads/example.json");
const text = process.argv[2] ?? JSON.parse(await readFile(output, "utf8")).text;

const round = (value, decimals) => Number(value.toFixed(decimals));

// Vite runs the TypeScript of the page here and serves the model to it.
const server = await createServer({ configFile: here("../vite.config.ts"), server: { port: 0 }, logLevel: "warn" });
let hw;
try {
  await server.listen();
  const base = `${server.resolvedUrls.local[0]}model/`;
  const { Encoder } = await server.ssrLoadModule("/src/heads/encoder.ts");
  const { loadFirst, loadRest } = await server.ssrLoadModule("/src/heads/model/index.ts");
  hw = await load();
  const encoder = await Encoder.make(hw, await loadFirst(base));
  await encoder.complete(await loadRest(base));
  const tokens = encoder.tokenize(text);
  const gates = encoder.heads.map((count) => Array(count).fill(1));
  const { weights, statistics } = await encoder.run({ tokens, gates, causal: false });
  const layers = weights.map(({ data, shape: [heads, rows, columns] }, layer) =>
    Array.from({ length: heads }, (_, head) => ({
      weights: Array.from(data.subarray(head * rows * columns, (head + 1) * rows * columns), (w) =>
        Math.round(w * 1000),
      ),
      statistics: Object.fromEntries(
        Object.entries(statistics[layer][head]).map(([name, value]) => [name, round(value, 4)]),
      ),
    })),
  );
  const example = { text, tokens, layers };
  const json = await format(JSON.stringify(example), { parser: "json", printWidth: 120 });
  await writeFile(output, json);
  console.log(`${output}: ${tokens.length} tokens, ${json.length} bytes`);
} finally {
  await hw?.dispose();
  await server.close();
}
