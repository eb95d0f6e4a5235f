/** A published model: a transformer that knows its files' text, labels and names. */
import { checkBoolean, oneOf } from "../base/checks.js";
import { isObject } from "../base/kinds.js";
import { optional, readOptions, type OptionTable } from "../base/options.js";
import { HeadwiseError } from "../base/errors.js";
import type { Tensor, Tokens } from "../base/types.js";
import type { Instance } from "../runtime/instance.js";
import type { Dtype } from "../module/types.js";
import type { NativeModel } from "../runtime/native.js";
import { Model } from "../transformer/transformer.js";
import type {
  ConvertOptions,
  GenerateOptions,
  ResolvedTransformerConfig,
  TransformerOptions,
  TransformerResult,
} from "../transformer/types.js";
import { embedRows, type Forward } from "./embed.js";
import type {
  EmbedInput,
  EmbedOptions,
  GeneratedText,
  OpenedModel,
  OpenedModelInput,
  SavedModel,
  SaveModelOptions,
} from "./opened_types.js";
import { readImages } from "./input_readers.js";
import type { ImageLike } from "./pixels.js";
import type { Published } from "./published.js";
import { saveModel } from "./save_model.js";
import { encodeInput, encodeRows, isText, startText, type TextPieces } from "./text.js";
import type { Tokenizer } from "./tokenizer_types.js";

const embedTable = {
  pooling: optional(oneOf(["mean", "first", "last"])),
  normalize: optional(checkBoolean),
} satisfies OptionTable<EmbedOptions>;

/** Apart from the models, which `Model` freezes. */
const published = new WeakMap<object, Published>();

export class PublishedModel extends Model implements OpenedModel {
  constructor(instance: Instance, native: NativeModel, config: ResolvedTransformerConfig, files: Published) {
    super(instance, native, config);
    published.set(this, files);
  }

  get architecture(): string {
    return this.#files.name;
  }

  get dtype(): Dtype {
    return this.config.dtype;
  }

  get labels(): readonly string[] | undefined {
    return this.#files.labels;
  }

  get stopTokens(): readonly number[] {
    return this.#files.settings.stop;
  }

  get tokenizer(): Tokenizer | undefined {
    return this.#files.readers.tokenizer;
  }

  pixels(images: ImageLike | readonly ImageLike[]): Tensor {
    return readImages(this.#files.readers, images);
  }

  /** See `Published`. */
  get key(): number | undefined {
    return this.#files.key;
  }

  override forward(input: OpenedModelInput, options?: TransformerOptions): TransformerResult {
    if (isText(input)) return this.forward(...encodeInput(this.tokenizer, input, options));
    return super.forward(input, options);
  }

  embed(texts: EmbedInput, optionsLike?: EmbedOptions): Tensor {
    const options = readOptions(optionsLike, "embed", embedTable);
    const { embedding } = this.#files.settings;
    const { pooling = embedding.pooling, normalize = embedding.normalize } = options;
    if (options.pooling === undefined && embedding.unsupported !== undefined)
      throw new HeadwiseError("unsupported", `embed: ${embedding.unsupported} is not supported; give pooling`);
    const rows = encodeRows(this.tokenizer, texts, this.config);
    const forward: Forward = (tokens, mask) => super.forward(tokens, { mask, logits: "none" });
    return embedRows(rows, forward, { pooling, normalize });
  }

  override prune(heads: Readonly<Record<number, readonly number[]>>): PublishedModel {
    return super.prune(heads) as PublishedModel;
  }

  override convert(options: ConvertOptions): PublishedModel {
    return super.convert(options) as PublishedModel;
  }

  override generate(prompt: string, options: GenerateOptions): Generator<GeneratedText, void, void>;
  override generate(prompt: Tokens, options: GenerateOptions): Generator<number, void, void>;
  override generate(
    prompt: string | Tokens,
    optionsLike: GenerateOptions,
  ): Generator<GeneratedText | number, void, void> {
    const options = isObject(optionsLike) ? { stop: this.stopTokens, ...optionsLike } : optionsLike;
    if (typeof prompt !== "string") return super.generate(prompt, options);
    const { tokens, pieces } = startText(this.tokenizer, prompt);
    return withText(super.generate(tokens, options), pieces);
  }

  save(options?: SaveModelOptions): SavedModel {
    return saveModel(this, this.#files, options);
  }

  protected derive(instance: Instance, native: NativeModel, config: ResolvedTransformerConfig): PublishedModel {
    return new PublishedModel(instance, native, config, this.#files);
  }

  get #files(): Published {
    return published.get(this)!;
  }
}

function* withText(tokens: Generator<number, void, void>, pieces: TextPieces): Generator<GeneratedText, void, void> {
  for (const token of tokens) yield pieces.next(token);
}
