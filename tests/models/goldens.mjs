// The numbers that opened models are held to, as tools/goldens.mjs unpacks them; in Node and on pages.

/** Where they are unpacked. On a page of tests/support/server.mjs it is the same path. */
export const goldens = new URL("../../build/goldens/", import.meta.url);

async function readBytes(url) {
  if (url.protocol === "file:") return new Uint8Array(await (await import("node:fs/promises")).readFile(url));
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Whether there is such a file. */
export const exists = (url) =>
  readBytes(url).then(
    () => true,
    () => false,
  );

async function readJson(url) {
  return JSON.parse(new TextDecoder().decode(await readBytes(url)));
}

/** Names of the models that are there; those of the repository, or all of the shared folder. */
export const modelNames = async () =>
  (await readJson(new URL("index.json", goldens))).names.filter(
    (name) => !/^(tokenizers|torch-mha|lens-.*)$/.test(name),
  );

/** Names of the models with numbers of TransformerLens. */
export const lensNames = async () =>
  (await readJson(new URL("index.json", goldens))).names.filter((name) => name.startsWith("lens-"));

/** A model with numbers of TransformerLens: `folder`, and what ../shared/lens-models/README.md says of lens.json. */
export async function openLens(name) {
  const folder = new URL(`${name}/`, goldens);
  return { folder, ...(await readGolden(folder, "lens")) };
}

/** The tensors of a safetensors file of float32, as { data, shape }. */
function readTensors(bytes) {
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const data = bytes.slice(8 + length).buffer;
  return Object.fromEntries(
    Object.entries(header).map(
      ([
        name,
        {
          shape,
          data_offsets: [begin, end],
        },
      ]) => [name, { data: new Float32Array(data, begin, (end - begin) / 4), shape }],
    ),
  );
}

/** A golden file of a folder: JSON, with tensors where it had floats. */
async function readGolden(folder, name) {
  const tensors = readTensors(await readBytes(new URL(`${name}.safetensors`, folder)));
  const fill = (value) => {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(fill);
    if (typeof value.tensor === "string") return tensors[value.tensor];
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, fill(member)]));
  };
  return fill(await readJson(new URL(`${name}.json`, folder)));
}

/**
 * A model: `folder` is the address of config.json (and config.v4.json where the model has one) and model.safetensors; the
 * rest is as ../shared/hf-models/README.md says: `cases.NAME.inputs`, `.outputs`, `.precision`, `generation`, `gradient`,
 * `rope`, with tensors { data, shape }.
 */
export async function openGolden(name) {
  const folder = new URL(`${name}/`, goldens);
  return { folder, ...(await readGolden(folder, "golden")) };
}

/** The cases of nn.MultiheadAttention ("mha") or F.scaled_dot_product_attention ("sdpa"). */
export const torchCases = async (file) => (await readGolden(new URL("torch-mha/", goldens), file)).cases;

/** tokenizer.json and the texts of a tokenizer. */
export async function openTokenizerGolden(name) {
  const folder = new URL(`tokenizers/${name}/`, goldens);
  return {
    json: await readJson(new URL("tokenizer.json", folder)),
    golden: await readJson(new URL("golden.json", folder)),
  };
}

export const tokenizerNames = ["bert", "gpt2", "llama", "roberta", "split_regex", "unigram"];
