/** The public types of published models. */
import type { Bytes, Tensor, Tokens } from "../base/types.js";
import type { FilesOptions } from "../files/types.js";
import type {
  ConvertOptions,
  GenerateOptions,
  GroupHeadsOptions,
  ModelInput,
  Transformer,
  TransformerOptions,
  TransformerResult,
} from "../transformer/types.js";
import type { Dtype } from "../module/types.js";
import type { ImageLike } from "./pixels.js";
import type { Tokenizer } from "./tokenizer_types.js";

/** Options of `Headwise.openModel`. */
export interface OpenModelOptions extends FilesOptions {
  /** Number format of the matrices in memory. Default "auto": BF16 and I8 files stay what they are, others become float32. */
  dtype?: "auto" | Dtype;
  /** Which one, of a model that has two (CLIP). */
  tower?: "text" | "vision";
  /** The most tokens that a sequence may have. Default: as many as the model knows positions for. */
  maxTokens?: number;
}

/** What an opened model reads: tokens or images; text, where there is a tokenizer. */
export type OpenedModelInput = ModelInput | string | readonly string[];

/** Options of `OpenedModel.embed`. */
export interface EmbedOptions {
  /** What becomes of the tokens' hidden states: their mean, or one of them. Default: as the files say, else "mean". */
  pooling?: "mean" | "first" | "last";
  /** Whether each vector is scaled to length 1. Default: as the files say, else false. */
  normalize?: boolean;
}

/** Texts, or the tokens of texts: a row each, of any length. */
export type EmbedInput = string | readonly string[] | Int32Array | readonly Int32Array[];

/** One step of text that is generated. */
export interface GeneratedText {
  /** Id of the token. */
  readonly token: number;
  /** What the token adds to the text; empty while a character is not complete. */
  readonly text: string;
}

/**
 * A published model as files: opens again with `Headwise.openModel`, and in transformers; with pruned heads in transformers 4, of families
 * that it prunes.
 */
export interface SavedModel {
  /** The configuration, in the family's own form. */
  readonly "config.json": Bytes;
  /** The tensors, with the family's own names. */
  readonly "model.safetensors": Bytes;
}

/** Options of `OpenedModel.save`. */
export interface SaveModelOptions {
  /**
   * Type in the file. Default F32. I8: matrices as int8, with their scales as F32 tensors named `<matrix>_scale`, [outputs]; all else as
   * F32. Such files open again, with the same bits.
   */
  dtype?: "F32" | "F16" | "BF16" | "I8";
}

/** What is known of an opened model beside its parameters. */
export interface ModelFacts {
  /** The files' model_type. */
  readonly architecture: string;
  /** Number format of the parameters in memory. */
  readonly dtype: Dtype;
  /** What a classifier's logits stand for. */
  readonly labels: readonly string[] | undefined;
  /** Tokens that end a text: `eos_token_id` of generation_config.json, else of config.json; empty where neither names one. */
  readonly stopTokens: readonly number[];
}

/** What turns text and images into what an opened model reads: synchronous, on the caller's thread, in `headwise/worker` too. */
export interface ModelReaders {
  /** Where there is a tokenizer.json. */
  readonly tokenizer: Tokenizer | undefined;
  /**
   * Images as `{ pixels }` for `forward`, as preprocessor_config.json says: [B, 3, height, width]. One of the model's own size is
   * only normalised, which is exact; others are scaled nearly as Pillow does.
   */
  pixels(images: ImageLike | readonly ImageLike[]): Tensor;
}

/** A published model: a transformer that knows its files' text and names. Make one with `Headwise.openModel`. */
export interface OpenedModel
  extends
    Omit<Transformer, "forward" | "generate" | "prune" | "convert" | "groupHeads" | "save">,
    ModelFacts,
    ModelReaders {
  /**
   * As `Transformer.forward`. Text is one sequence, texts are a batch that is padded and masked. Without `positions`, a causal model
   * counts the tokens that are not masked, as transformers' `generate` does.
   */
  forward(input: OpenedModelInput, options?: TransformerOptions): TransformerResult;
  /**
   * One vector for each text, [B, E], from the hidden states of its tokens; of a model with a projection (CLIP) the projected
   * one. Texts of similar length run together. Texts that are longer than the files or the model allow lose their end.
   */
  embed(texts: EmbedInput, options?: EmbedOptions): Tensor;
  /** As `Transformer.generate`; `stop` defaults to `stopTokens`, `[]` goes on after them. From text it generates text: a piece for each token. */
  generate(prompt: string, options: GenerateOptions): Generator<GeneratedText, void, void>;
  /** As `Transformer.generate`; `stop` defaults to `stopTokens`, `[]` goes on after them. */
  generate(prompt: Tokens, options: GenerateOptions): Generator<number, void, void>;
  /** As `Transformer.prune`. */
  prune(heads: Readonly<Record<number, readonly number[]>>): OpenedModel;
  /** As `Transformer.convert`. */
  convert(options: ConvertOptions): OpenedModel;
  /** As `Transformer.groupHeads`. */
  groupHeads(groups: number, options?: GroupHeadsOptions): Promise<OpenedModel>;
  /**
   * The model as files by the family's own names. config.json says which heads were pruned: as `pruned_heads`, where
   * transformers 4 knows that of the family, else as `headwise_pruned_heads`. Refuses gates other than 1.
   */
  save(options?: SaveModelOptions): SavedModel;
}
