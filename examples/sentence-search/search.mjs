// Finds the lines of standard input that mean nearly the same as a sentence:
//   npm run --silent search -- sentence-transformers/all-MiniLM-L6-v2 "How do I reset my password?" < questions.txt
import { text } from "node:stream/consumers";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { load } from "headwise";
import { nearest } from "./nearest.js";

const [name = "sentence-transformers/all-MiniLM-L6-v2", query = "How do I reset my password?"] = process.argv.slice(2);
const sentences = (await text(process.stdin)).split("\n").filter((line) => line !== "");

const hw = await load();
const model = await hw.openModel(existsSync(name) ? pathToFileURL(`${resolve(name)}/`) : { hub: name });
for (const { sentence, similarity } of nearest(model.embed([query, ...sentences], { normalize: true }), sentences))
  console.log(similarity.toFixed(3), sentence);
hw.dispose();
