import { readSafetensors, type MultiHeadAttentionConfig, type Tensor } from "headwise";
import { download, type Progress } from "../../download";
import { embed } from "./embedding";
import { createTokenizer, type Token, type Vocabulary } from "./tokenizer";

export type { Progress, Token };

/** Layer 0 of Universal Sentence Encoder Lite, up to and including its attention's parameters. */
export interface Model {
  /** At most 128 tokens: the model reads no more. None for an empty text. */
  tokenize(text: string): Token[];
  /** What the attention reads, [T, 256]. */
  embed(ids: readonly number[]): Tensor;
  /** For `hw.multiHeadAttention`. */
  readonly config: MultiHeadAttentionConfig;
  /** For `setParameters`. */
  readonly parameters: Record<string, Tensor>;
}

/** Loads the files that tools/model.mjs made from the folder `base`; a relative one is taken as `fetch` takes it. */
export async function loadModel(base: string | URL, onProgress?: Progress, signal?: AbortSignal): Promise<Model> {
  const folder = String(base).replace(/\/?$/, "/");
  const files = ["layer0.safetensors", "tokenizer.json"].map((name) => folder + name);
  const [layer, vocabulary] = await download(files, onProgress, signal);

  const file = readSafetensors(layer);
  const weights = {
    table: file.tensor("embedding"),
    frequencies: file.tensor("timing.frequencies"),
    normScale: file.tensor("norm.scale"),
    normBias: file.tensor("norm.bias"),
    epsilon: Number(file.metadata.layerNormEpsilon),
  };
  const parameterNames = file.names.filter((name) => name.includes("_proj."));
  const parameters = Object.fromEntries(parameterNames.map((name) => [name, file.tensor(name)]));
  return {
    tokenize: createTokenizer(JSON.parse(new TextDecoder().decode(vocabulary)) as Vocabulary),
    embed: (ids) => embed(ids, weights),
    config: {
      embedDim: parameters["q_proj.weight"].shape[1],
      numHeads: Number(file.metadata.numHeads),
      outputDim: parameters["out_proj.weight"].shape[0],
    },
    parameters,
  };
}
