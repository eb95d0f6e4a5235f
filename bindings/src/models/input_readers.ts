/** What turns text and images into what a model reads. It is loaded on the caller's thread, in `headwise/worker` too. */
import { HeadwiseError } from "../base/errors.js";
import { onDemand } from "../base/on_demand.js";
import type { Tensor } from "../base/types.js";
import type { ModelFiles } from "../files/types.js";
import type { ImageLike } from "./pixels.js";
import { openTokenizer } from "./tokenizer.js";
import { loadTokenizers } from "./tokenizer_library.js";
import type { Tokenizer } from "./tokenizer_types.js";

type Images = ImageLike | readonly ImageLike[];

export interface InputReaders {
  readonly tokenizer?: Tokenizer | undefined;
  /** As preprocessor_config.json says. */
  readonly pixels?: ((images: Images) => Tensor) | undefined;
}

/** The code that reads images is loaded where a model has such a file, as tokenizers are. */
async function openPixels(preprocessor: unknown): Promise<InputReaders["pixels"]> {
  if (preprocessor === undefined) return undefined;
  const { pixelsOf } = await onDemand(() => import("./pixels.js"));
  return (images) => pixelsOf(images, preprocessor);
}

export async function openReaders(files: ModelFiles): Promise<InputReaders> {
  const [tokenizer, config, preprocessor] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"].map((file) => files.json(file)),
  );
  const pixels = await openPixels(preprocessor);
  if (tokenizer === undefined) return { pixels };
  const sentences = await files.json("sentence_bert_config.json");
  return { tokenizer: openTokenizer(await loadTokenizers(), tokenizer, config, sentences), pixels };
}

export function readImages({ pixels }: InputReaders, images: Images): Tensor {
  if (pixels !== undefined) return pixels(images);
  throw new HeadwiseError("invalid-option", "pixels: the model has no preprocessor_config.json that says how");
}
