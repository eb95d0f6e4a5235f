// Run as a program of its own: reads all tensors of a model, and says how much memory that took beyond the program's own.
import { pathToFileURL } from "node:url";

const [files, sources, source] = process.argv.slice(2);
const { openFiles } = await import(pathToFileURL(files));
const { resolveSource } = await import(pathToFileURL(sources));

/** The most memory that the program has had, in bytes. */
const peak = () => process.resourceUsage().maxRSS * 1024;
const model = openFiles(resolveSource(source));
await model.json("config.json"); // so that what Node needs to fetch at all is there
const before = peak();
let [tensors, bytes, last] = [0, 0, 0];
const weights = await model.weights();
for await (const tensor of weights.stream()) {
  const data = await tensor.bytes();
  tensors += 1;
  bytes += data.length;
  last = data.at(-1);
}
console.log(JSON.stringify({ tensors, bytes, last, grown: peak() - before }));
