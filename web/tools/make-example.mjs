/**
 * Writes src/heads/example.json: one run of the default sentence on the real model, by the page's own engine and the built
 * library. Run it after a change of the model, the engine or the sentence: `node web/tools/make-example.mjs ["sentence"]`.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { format } from "prettier";
import { createServer } from "vite";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const output = here("../src/heads/example.json");
const text = process.argv[2] ?? JSON.parse(await readFile(output, "utf8")).text;

const round = (value, decimals) => Number(value.toFixed(decimals));

function steps({ data, shape }) {
  const largest = round(
    data.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
    4,
  );
  const bytes = Int8Array.from(data, (value) => Math.round((value / largest) * 127));
  return { shape, largest, bytes: Buffer.from(bytes.buffer).toString("base64") };
}

const head = ({ weights, values, contributions, entropy, distance, share }) => ({
  weights: Array.from(weights.data, (weight) => Math.round(weight * 1000)),
  values: steps(values),
  contributions: steps(contributions),
  entropy: round(entropy, 4),
  distance: round(distance, 4),
  share: round(share, 4),
});

// Vite runs the TypeScript of the page here and serves the model to it.
const server = await createServer({ configFile: here("../vite.config.ts"), server: { port: 0 }, logLevel: "warn" });
let engine;
try {
  await server.listen();
  const { Engine } = await server.ssrLoadModule("/src/heads/engine.ts");
  engine = await Engine.start(`${server.resolvedUrls.local[0]}model/`);
  const run = await engine.run({ text, causal: false, gates: [1, 1, 1, 1] });
  const example = { text, tokens: run.tokens, heads: run.heads.map(head), single: head(run.single) };
  const json = await format(JSON.stringify(example), { parser: "json", printWidth: 120 });
  await writeFile(output, json);
  console.log(`${output}: ${run.tokens.length} tokens, ${json.length} bytes`);
} finally {
  await engine?.dispose();
  await server.close();
}
