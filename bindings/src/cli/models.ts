/** Models on the command line: where they are, and the folders that become of them. */
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { HeadwiseError, load } from "../index.js";
import type { FileProgress, Headwise, HubModel, OpenedModel, OpenModelOptions, SavedModel } from "../types.js";
import { UsageError } from "./usage.js";
import type { ProgressLine } from "./progress.js";

/** Options of every command that opens a model. */
export interface SourceOptions {
  revision?: string;
  endpoint?: string;
  cache?: string;
}

/** What opens text and images, and what later programs want to find: everything beside the configuration and the weights. */
const companions = [
  ...["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "vocab.txt"],
  ...["generation_config.json", "modules.json", "1_Pooling/config.json", "preprocessor_config.json"],
];

const isFolder = (path: string) =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** A folder on this machine, or a name on the hub. */
async function sourceOf(name: string, { revision, endpoint }: SourceOptions): Promise<URL | HubModel> {
  if (await isFolder(name)) return pathToFileURL(`${resolve(name)}/`);
  if (/^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/.test(name)) return { hub: name, revision, endpoint };
  throw new UsageError(`${name}: there is no such folder, and a name on Hugging Face is "organisation/name"`);
}

export interface Opened {
  readonly hw: Headwise;
  readonly model: OpenedModel;
  readonly source: URL | HubModel;
}

/** Opens a model, runs `work` with it, and frees all. */
export async function withModel<T>(
  name: string,
  options: SourceOptions & Pick<OpenModelOptions, "dtype">,
  progress: ProgressLine,
  work: (opened: Opened) => Promise<T>,
): Promise<T> {
  const source = await sourceOf(name, options);
  progress.start(`Opening ${name}`);
  const hw = await load();
  try {
    const { dtype, cache } = options;
    const onProgress = ({ loaded, total }: FileProgress) => progress.at(loaded, total ?? 0);
    const model = await hw.openModel(source, { dtype, cache, onProgress }).catch((error: unknown) => {
      if (source instanceof URL || !(error instanceof HeadwiseError)) throw error;
      throw new HeadwiseError(error.code, `${name} is no folder here, and as a name on Hugging Face: ${error.message}`);
    });
    return await work({ hw, model, source });
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

/** A file that stands beside a model, if it is there. */
async function readBeside(file: string, source: URL | HubModel): Promise<Uint8Array | undefined> {
  if (source instanceof URL)
    return readFile(new URL(file, source)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
      return undefined;
    });
  const { hub, revision = "main", endpoint = "https://huggingface.co" } = source;
  const host = String(endpoint).replace(/\/$/, "");
  const answer = await fetch(`${host}/${hub}/resolve/${encodeURIComponent(revision)}/${file}`);
  return answer.ok ? new Uint8Array(await answer.arrayBuffer()) : undefined;
}

/** Writes a saved model to a folder, with the files that stand beside it. */
export async function writeModel(out: string, saved: SavedModel, source: URL | HubModel): Promise<void> {
  const files = new Map<string, Uint8Array>(Object.entries(saved));
  for (const file of companions) {
    const bytes = await readBeside(file, source);
    if (bytes !== undefined) files.set(file, bytes);
  }
  for (const [file, bytes] of files) {
    await mkdir(dirname(join(out, file)), { recursive: true });
    await writeFile(join(out, file), bytes);
  }
}
