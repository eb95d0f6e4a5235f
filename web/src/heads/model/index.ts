import type { Tensor } from "headwise";
import { download, type Progress } from "../../download";
import { readQuantized } from "./quantized";
import type { Vocabulary } from "./tokenizer";

export type { Progress };

/** Universal Sentence Encoder Lite as tools/encoder.mjs names it. */
export interface EncoderWeights {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/** The vocabulary, and what the first layer's attention needs: a third of the whole. `base` is a folder's address. */
export async function loadFirst(
  base: string | URL,
  onProgress?: Progress,
  signal?: AbortSignal,
): Promise<EncoderWeights & { vocabulary: Vocabulary }> {
  const [vocabulary, file] = await download(inFolder(base, "tokenizer.json", "first.safetensors"), onProgress, signal);
  return { ...readQuantized(file), vocabulary: JSON.parse(new TextDecoder().decode(vocabulary)) as Vocabulary };
}

/** Everything else. */
export async function loadRest(
  base: string | URL,
  onProgress?: Progress,
  signal?: AbortSignal,
): Promise<EncoderWeights> {
  const [file] = await download(inFolder(base, "rest.safetensors"), onProgress, signal);
  return readQuantized(file);
}

function inFolder(base: string | URL, ...names: string[]): string[] {
  const folder = String(base).replace(/\/?$/, "/");
  return names.map((name) => folder + name);
}
