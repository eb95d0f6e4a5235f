/** Text and images of opened models, which become numbers on the calling thread. */
import { readImages, type InputReaders } from "../models/input_readers.js";
import { encodeInput, encodeRows, isText, startText, type TextPieces } from "../models/text.js";
import type { EmbedInput, EmbedOptions, GeneratedText, OpenedModelInput } from "../models/opened_types.js";
import type { Tokens } from "../base/types.js";
import type { GenerateOptions, TransformerOptions } from "../transformer/types.js";
import type { Abortable, WorkerOpenedModel } from "./types.js";

/** The members of a model that take text or images, and give text, around those of the model in the worker. */
export function readingMembers({ config, forward, embed, generate }: WorkerOpenedModel, readers: InputReaders) {
  const { tokenizer } = readers;
  return {
    tokenizer,
    pixels: (images: Parameters<WorkerOpenedModel["pixels"]>[0]) => readImages(readers, images),
    forward: async (input: OpenedModelInput, options?: TransformerOptions & Abortable) =>
      isText(input) ? forward(...encodeInput(tokenizer, input, options)) : forward(input, options),
    embed: async (texts: EmbedInput, options?: EmbedOptions & Abortable) =>
      embed(encodeRows(tokenizer, texts, config), options),
    generate(prompt: string | Tokens, options: GenerateOptions & Abortable) {
      if (typeof prompt !== "string") return generate(prompt, options);
      const { tokens, pieces } = startText(tokenizer, prompt);
      return withText(generate(tokens, options), pieces);
    },
  };
}

async function* withText(
  tokens: AsyncGenerator<number, void, void>,
  pieces: TextPieces,
): AsyncGenerator<GeneratedText, void, void> {
  for await (const token of tokens) yield pieces.next(token);
}
