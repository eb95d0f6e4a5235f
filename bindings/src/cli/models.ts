/** Models on the command line: where they are, and the folders that become of them. */
import { mkdir, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { isObject } from "../base/kinds.js";
import { openFiles } from "../files/model_files.js";
import { fileError } from "../files/place.js";
import { resolveSource } from "../files/sources.js";
import type { ModelFiles } from "../files/types.js";
import { HeadwiseError, load } from "../index.js";
import type { FileProgress, Headwise, HubModel, OpenedModel, OpenModelOptions, SavedModel } from "../types.js";
import { UsageError } from "./usage.js";
import type { ProgressLine } from "./progress.js";

/** Options of every command that opens a model. What looks like a number, the library of arguments has made a number. */
export interface SourceOptions {
  revision?: unknown;
  endpoint?: unknown;
  cache?: unknown;
}

/** The number formats of files, as the command names them. */
export const fileDtypes = { f32: "F32", f16: "F16", bf16: "BF16", int8: "I8" } as const;

/** What opens text and images, and what later programs want to find: everything beside the configuration and the weights. */
const companions = [
  ...["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"],
  ...["vocab.json", "merges.txt", "vocab.txt", "generation_config.json", "preprocessor_config.json", "modules.json"],
  ...["sentence_bert_config.json", "config_sentence_transformers.json"],
];

const stringOf = (value: unknown) => (value === undefined ? undefined : String(value));

const isFolder = (path: string) =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** A folder on this machine, or a name on the hub. */
async function sourceOf(name: string, hub: Omit<HubModel, "hub">): Promise<URL | HubModel> {
  if (await isFolder(name)) return pathToFileURL(`${resolve(name)}/`);
  if (/^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/.test(name)) return { hub: name, ...hub };
  throw new UsageError(`${name}: there is no such folder, and a name on Hugging Face is "organisation/name"`);
}

export interface Opened {
  readonly hw: Headwise;
  readonly model: OpenedModel;
  readonly files: ModelFiles;
}

/** Opens a model, runs `work` with it, and frees all. */
export async function withModel<T>(
  name: string,
  options: SourceOptions & Pick<OpenModelOptions, "dtype">,
  progress: ProgressLine,
  work: (opened: Opened) => Promise<T>,
): Promise<T> {
  const [revision, endpoint, cache] = [options.revision, options.endpoint, options.cache].map(stringOf);
  const source = await sourceOf(name, { revision, endpoint });
  progress.start(`Opening ${name}`);
  const hw = await load();
  try {
    const onProgress = ({ loaded, total }: FileProgress) => progress.at({ done: loaded, total });
    const model = await hw.openModel(source, { dtype: options.dtype, cache, onProgress }).catch((error: unknown) => {
      if (source instanceof URL || !(error instanceof HeadwiseError)) throw error;
      throw new HeadwiseError(error.code, `${name} is no folder here, and as a name on Hugging Face: ${error.message}`);
    });
    return await work({ hw, model, files: openFiles(resolveSource(source), { cache }) });
  } finally {
    hw.dispose();
  }
}

/** Refuses a folder that would replace the model that is read. */
export function checkOut(out: string | undefined, name: string): string {
  if (out === undefined) throw new UsageError("--out: expected a folder to write the model to");
  if (resolve(String(out)) === resolve(name)) throw new UsageError(`--out: ${out} is the model that is read`);
  return resolve(String(out));
}

/** The files of modules.json: each module has a folder of its own, or the model's. */
async function moduleFiles(files: ModelFiles): Promise<string[]> {
  const modules = await files.json("modules.json");
  if (!Array.isArray(modules)) return [];
  return modules.filter(isObject).flatMap(({ path }) => {
    if (typeof path !== "string" || path === "") return [];
    if (!/^\w[\w.-]*$/.test(path)) throw fileError("modules.json", `${JSON.stringify(path)} is not a folder beside it`);
    return [`${path}/config.json`];
  });
}

/** Writes a saved model to a folder, with the files that stand beside it. */
export async function writeModel(out: string, saved: SavedModel, files: ModelFiles): Promise<void> {
  const written = new Map<string, Uint8Array>(Object.entries(saved));
  for (const file of [...companions, ...(await moduleFiles(files))]) {
    const bytes = await files.bytes(file);
    if (bytes !== undefined) written.set(file, bytes);
  }
  for (const [file, bytes] of written) {
    await mkdir(dirname(join(out, file)), { recursive: true });
    await writeFile(join(out, file), bytes);
  }
}
