/** What turns text and images into what a model reads. It is loaded on the caller's thread, in `headwise/worker` too. */
import { HeadwiseError } from "../base/errors.js";
import type { Tensor } from "../base/types.js";
import type { ModelFiles } from "../files/types.js";
import { pixelsOf, type ImageLike } from "./pixels.js";
import { openTokenizer } from "./tokenizer.js";
import { loadTokenizers } from "./tokenizer_library.js";
import type { Tokenizer } from "./tokenizer_types.js";

export interface InputReaders {
  readonly tokenizer?: Tokenizer | undefined;
  /** Of preprocessor_config.json. */
  readonly preprocessor?: unknown;
}

export async function openReaders(files: ModelFiles): Promise<InputReaders> {
  const [tokenizer, config, preprocessor] = await Promise.all(
    ["tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"].map((file) => files.json(file)),
  );
  if (tokenizer === undefined) return { preprocessor };
  const sentences = await files.json("sentence_bert_config.json");
  return { tokenizer: openTokenizer(await loadTokenizers(), tokenizer, config, sentences), preprocessor };
}

export function readImages({ preprocessor }: InputReaders, images: ImageLike | readonly ImageLike[]): Tensor {
  if (preprocessor !== undefined) return pixelsOf(images, preprocessor);
  throw new HeadwiseError("invalid-option", "pixels: the model has no preprocessor_config.json that says how");
}
