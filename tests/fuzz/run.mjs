// One of the fuzzers that are written in JavaScript, by itself:
//   node tests/fuzz/run.mjs api|safetensors [--seconds 60] [--seed 1] [--simd simd128] [--only attention] [--path 12:0:1]
import { parseArgs } from "node:util";

const options = { seconds: {}, seed: {}, simd: {}, only: {}, path: {}, first: {}, iterations: {} };
for (const option of Object.values(options)) option.type = "string";
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const number = (name) => (values[name] === undefined ? {} : { [name]: Number(values[name]) });

const fuzzers = {
  api: async () => (await import("./api.mjs")).fuzzApi,
  safetensors: async () => (await import("./safetensors.mjs")).fuzzSafetensors,
};
const fuzz = await fuzzers[positionals[0]]();
const { simd, only, path } = values;
try {
  const numbers = Object.assign({}, ...["seconds", "seed", "first", "iterations"].map(number));
  console.log(JSON.stringify(await fuzz({ simd, only, path, ...numbers })));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
