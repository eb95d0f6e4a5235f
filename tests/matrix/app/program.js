// What a program computes with: the options and entries in its arguments. It leaves the results in a file.
import { writeFileSync } from "node:fs";
import process from "node:process";

import { compute } from "./compute.js";

const [options, ...entries] = process.argv.slice(2);
const results = {};
for (const entry of entries) results[entry] = await compute(await import(entry), JSON.parse(options));
writeFileSync("results.json", JSON.stringify(results));
