// Removes the least important third of the heads of a masked language model, and saves what is left as files that open again:
//   npm start -- google-bert/bert-base-uncased text.txt smaller
// A line of the text is a sequence. Every seventh token is masked, and the model is to find it.
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { load } from "headwise";

const [name = "google-bert/bert-base-uncased", textFile = "text.txt", folder = "smaller"] = process.argv.slice(2);

const hw = await load();
const model = await hw.openModel(existsSync(name) ? pathToFileURL(`${resolve(name)}/`) : { hub: name });
const [maskId] = model.tokenizer.encode("[MASK]", { specialTokens: false });

const lines = (await readFile(textFile, "utf8")).split("\n").filter((line) => line !== "");
const batches = lines.map((line) => {
  const ids = model.tokenizer.encode(line, { maxTokens: 128 });
  const masked = (i) => i % 7 === 3;
  return { tokens: ids.map((id, i) => (masked(i) ? maskId : id)), targets: ids.map((id, i) => (masked(i) ? id : -1)) };
});

const pruned = hw.pruneByImportance(model, { method: "gradient", batches }, { fraction: 1 / 3, batches });
await mkdir(folder, { recursive: true });
for (const [file, bytes] of Object.entries(pruned.model.save())) await writeFile(join(folder, file), bytes);

for (const [when, { loss, parameters }] of Object.entries({ before: pruned.before, after: pruned.after }))
  console.log(`${when}: loss ${loss.toFixed(3)}, ${(parameters / 1e6).toFixed(2)} million parameters`);
console.log(`removed: ${pruned.removed.map(({ layer, head }) => `${layer}.${head}`).join(" ")}`);
hw.dispose();
