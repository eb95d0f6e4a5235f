// Which heads find the name? Indirect objects (Wang et al. 2022): "When Mary and John went to the store, John gave a drink to" ends in
// " Mary", and with the second John turned into Mary it should end in " John". Puts what each head computes in the first text into the
// second, one head at a time, and draws how much of the difference each brings back:
//   npm start -- openai-community/gpt2 heads.svg
// Names of one token may follow.
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { load } from "headwise";
import { drawMap } from "./draw_map.mjs";

const [name = "openai-community/gpt2", file = "heads.svg", ...given] = process.argv.slice(2);
const names = given.length > 0 ? given : ["Mary", "John", "Anna", "Tom", "James", "Paul"];
const templates = [
  (a, b, giver) => `When ${a} and ${b} went to the store, ${giver} gave a drink to`,
  (a, b, giver) => `Then, ${a} and ${b} had a long talk, and ${giver} handed a letter to`,
  (a, b, giver) => `After ${a} and ${b} came home, ${giver} showed the garden to`,
];

const hw = await load();
const model = await hw.openModel(existsSync(name) ? pathToFileURL(`${resolve(name)}/`) : { hub: name });
const tokenOf = (name) => {
  const ids = model.tokenizer.encode(` ${name}`, { specialTokens: false });
  if (ids.length !== 1) throw new Error(`${name} is ${ids.length} tokens; expected names of one token`);
  return ids[0];
};
/** Each name with the next one, in both orders. */
const pairs = names.flatMap((one, n) => {
  const other = names[(n + 1) % names.length];
  return [
    [one, other],
    [other, one],
  ];
});
/** Texts of one length, as a batch. */
const batchOf = (texts) => {
  const rows = texts.map((text) => model.tokenizer.encode(text));
  return { data: Int32Array.from(rows.flatMap((row) => [...row])), shape: [rows.length, rows[0].length] };
};

const { layers, numHeads } = model.config;
const restored = new Float64Array(layers * numHeads);
for (const template of templates) {
  const clean = batchOf(pairs.map(([a, b]) => template(a, b, b)));
  const corrupted = batchOf(pairs.map(([a, b]) => template(a, b, a)));
  const metric = { answer: pairs.map(([a]) => tokenOf(a)), against: pairs.map(([, b]) => tokenOf(b)) };
  const map = await hw.patch(model, clean, corrupted, { at: "heads", by: "head", metric });
  console.log(`${template("A", "B", "B")} …: ${map.clean.toFixed(2)}, corrupted ${map.corrupted.toFixed(2)}`);
  const range = map.clean - map.corrupted;
  map.data.forEach((value, n) => (restored[n] += (value - map.corrupted) / range / templates.length));
}

const heads = Array.from(restored, (value, n) => ({ layer: Math.floor(n / numHeads), head: n % numHeads, value }));
const strongest = heads.toSorted((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 8);
console.log(strongest.map(({ layer, head, value }) => `${layer}.${head}: ${(100 * value).toFixed(1)} %`).join("\n"));
const title = `What each head of ${name} brings back of the logit difference`;
await writeFile(file, drawMap(heads, { layers, numHeads, title }));
hw.dispose();
