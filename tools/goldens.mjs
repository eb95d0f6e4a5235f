// Packs the numbers that opened models are held to: ../shared/hf-models beside the repository (or HEADWISE_MODELS) into
// tests/models/goldens, which a fresh clone has. `unpack` writes them to build/goldens, where tests in Node and in browsers
// read them; where the folder is there, all of its models, exactly.
//
// A model becomes one .br file (brotli of a list of files, floats by bytes of equal weight). config*.json and model.safetensors
// are as they were. golden.json becomes golden.json, with { "tensor": name } in the place of floats, and golden.safetensors.
// In the repository, floats of golden.safetensors are rounded to 4 % of the tolerance that they are compared with; the tests
// need some models alone, since weights cannot be compressed: of each family one with all its parts.
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants } from "node:zlib";

import { main, root } from "./steps.mjs";

const packed = join(root, "tests/models/goldens");
const unpacked = join(root, "build/goldens");
export const shared = process.env.HEADWISE_MODELS ?? join(root, "../shared/hf-models");
/** TransformerLens's numbers for some of these models; "lens-gpt2" is those of gpt2, and that model. */
const lensModels = join(shared, "../lens-models");
const lensPrefix = "lens-";

/** In the repository; the rest differ from one of these in numbers alone, or have fewer parts. */
export const chosen = [
  ...[
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "llama3",
    "llama-yarn",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma2",
    "gemma3",
    "phi3",
    "smollm3",
  ],
  ...[
    "bert-cls",
    "bert-mlm",
    "distilbert-cls",
    "roberta-mlm",
    "xlm-roberta-cls",
    "modernbert-mlm",
    "vit",
    "dinov2",
    "clip",
  ],
  ...["tokenizers", "torch-mha"],
  ...["lens-gpt2", "lens-llama"],
];

/** The step to which a value of golden.json is rounded, of tolerances 2e-4, 5e-5 and 1e-3 of the largest. */
function stepOf(path, floats) {
  if (path.startsWith("gradient/")) return 2 ** (Math.ceil(Math.log2(Math.max(...floats.map(Math.abs)))) - 14);
  if (path.startsWith("variants/")) {
    const largest = floats.reduce(
      (most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
      0,
    );
    return largest && 2 ** (Math.ceil(Math.log2(largest)) - 18);
  }
  if (/inputs|rope|state_dict/.test(path)) return 0; // what goes in is exact
  return path.endsWith("attentions") ? 2 ** -18 : 2 ** -16;
}

function rounded(path, floats) {
  const step = stepOf(path, floats);
  return step > 0 ? floats.map((value) => (Number.isFinite(value) ? Math.round(value / step) * step : value)) : floats;
}

/** The bytes of a safetensors file of float32. */
function safetensors(tensors) {
  const header = {};
  let end = 0;
  for (const [name, { floats, shape }] of Object.entries(tensors))
    header[name] = { dtype: "F32", shape, data_offsets: [end, (end += 4 * floats.length)] };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...Object.values(tensors).map(({ floats }) => Buffer.from(floats.buffer))]);
}

/** What no test reads, of golden.json and of lens.json. */
const skipped = /^(checks|notes|final_norm_input|f64)$/;
const skippedOfLens = /^(variants\/\w+\/(cache\/(?!\w+_scale)\w+|loss_per_token)|f32_vs_f64)$/;

/** golden.json as JSON without floats, and their tensors. */
function split(text, round) {
  const tensors = {};
  const walk = (value, path) => {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map((element, n) => walk(element, `${path}/${element?.name ?? n}`));
    if (value.base64 === undefined) {
      const skip = ({ 0: name }) => !skipped.test(name) && !skippedOfLens.test(path ? `${path}/${name}` : name);
      const members = Object.entries(value).filter(skip);
      return Object.fromEntries(members.map(([name, member]) => [name, walk(member, path ? `${path}/${name}` : name)]));
    }
    const bytes = Buffer.from(value.base64, "base64");
    const floats = new Float32Array(Uint8Array.from(bytes).buffer);
    tensors[path] = { floats: round ? rounded(path, floats) : floats, shape: value.shape };
    return { tensor: path };
  };
  const json = walk(JSON.parse(text.replace(/: ?(-?Infinity|NaN)/g, ": null")), ""); // Python's JSON
  return { json: Buffer.from(JSON.stringify(json)), tensors: safetensors(tensors) };
}

/** The files of a folder as they are unpacked, by name. */
export async function convert(name, round) {
  if (name.startsWith(lensPrefix)) {
    const model = name.slice(lensPrefix.length);
    const { json, tensors } = split(await readFile(join(lensModels, model, "lens.json"), "utf8"), round);
    const parts = ["config.json", "model.safetensors"].map(async (file) => [
      file,
      await readFile(join(shared, model, file)),
    ]);
    return { ...Object.fromEntries(await Promise.all(parts)), "lens.json": json, "lens.safetensors": tensors };
  }
  const folder = join(shared, name);
  const files = {};
  for (const file of (await readdir(folder, { recursive: true })).sort()) {
    if (!/\.(json|safetensors)$/.test(file)) continue;
    const bytes = await readFile(join(folder, file));
    if (name === "tokenizers" || !bytes.includes('"base64"')) files[file] = bytes;
    else {
      const { json, tensors } = split(String(bytes), round && name !== "torch-mha");
      files[file] = json;
      files[file.replace(/json$/, "safetensors")] = tensors;
    }
  }
  return files;
}

/** Float32s by bytes of equal weight, which compress better; and back. */
function planes(bytes, back) {
  const result = Buffer.alloc(bytes.length);
  const count = bytes.length >> 2;
  for (let n = 0; n < count; ++n) {
    for (let k = 0; k < 4; ++k) {
      if (back) result[4 * n + k] = bytes[k * count + n];
      else result[k * count + n] = bytes[4 * n + k];
    }
  }
  return result;
}

const dataStart = (file, bytes) => (file.endsWith(".safetensors") ? 8 + Number(bytes.readBigUInt64LE()) : bytes.length);

/** `same`: files that another model has, too. */
function bundle(files, same) {
  const list = Object.entries(files).map(([name, { length }]) =>
    same[name] ? { name, same: same[name] } : { name, length },
  );
  const json = Buffer.from(JSON.stringify(list));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  const parts = Object.entries(files).flatMap(([name, bytes]) => {
    if (same[name]) return [];
    const start = dataStart(name, bytes);
    return [bytes.subarray(0, start), planes(bytes.subarray(start), false)];
  });
  return Buffer.concat([length, json, ...parts]);
}

async function unbundle(bytes) {
  let position = 4 + bytes.readUInt32LE();
  const files = {};
  for (const { name, length, same } of JSON.parse(bytes.subarray(4, position))) {
    if (same !== undefined) files[name] = (await readPacked(same))[name];
    else {
      const part = bytes.subarray(position, (position += length));
      const start = dataStart(name, part);
      files[name] = Buffer.concat([part.subarray(0, start), planes(part.subarray(start), true)]);
    }
  }
  return files;
}

export const readPacked = async (name) =>
  unbundle(await promisify(brotliDecompress)(await readFile(join(packed, `${name}.br`))));

async function pack() {
  await mkdir(packed, { recursive: true });
  const first = {}; // the model that has a file first
  let total = 0;
  for (const name of chosen) {
    const files = await convert(name, true);
    const same = {};
    for (const [file, bytes] of Object.entries(files).filter(([file]) => file === "model.safetensors")) {
      const key = bytes.toString("latin1");
      if (first[key]) same[file] = first[key];
      first[key] ??= name;
    }
    const bytes = bundle(files, same);
    const params = { [constants.BROTLI_PARAM_LGWIN]: 22, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
    const compressed = await promisify(brotliCompress)(bytes, { params });
    await writeFile(join(packed, `${name}.br`), compressed);
    total += compressed.length;
  }
  console.log(`${chosen.length} files, ${total} bytes`);
}

/** Writes the models to build/goldens, unless they are there, and returns their names: from the shared folder where that is. */
export async function unpack() {
  const exact = existsSync(shared);
  const folders = async (path, prefix = "") => {
    const entries = existsSync(path) ? await readdir(path, { withFileTypes: true }) : [];
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => prefix + name);
  };
  const names = exact ? [...(await folders(shared)), ...(await folders(lensModels, lensPrefix))] : chosen;
  const sources = [new URL(import.meta.url), ...(await readdir(packed)).map((file) => join(packed, file))];
  const stamp = `${exact} ${names} ${(await Promise.all(sources.map((source) => stat(source)))).map(({ mtimeMs }) => mtimeMs)}`;
  const index = join(unpacked, "index.json");
  if (existsSync(index) && JSON.parse(await readFile(index)).stamp === stamp) return names;
  const fresh = `${unpacked}-${process.pid}`;
  for (const name of names) {
    for (const [file, bytes] of Object.entries(exact ? await convert(name, false) : await readPacked(name))) {
      await mkdir(join(fresh, name, file, ".."), { recursive: true });
      await writeFile(join(fresh, name, file), bytes);
    }
  }
  await writeFile(join(fresh, "index.json"), JSON.stringify({ stamp, exact, names }));
  await rm(unpacked, { recursive: true, force: true });
  await rename(fresh, unpacked);
  return names;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) main(pack);
