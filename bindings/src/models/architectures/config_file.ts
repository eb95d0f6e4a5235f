/** Reads config.json of a published model: every option is asked for by name, and what nobody has asked for is refused. */
import { isObject } from "../../base/kinds.js";
import { show } from "../../base/checks.js";
import { HeadwiseError } from "../../base/errors.js";

/** Options that change nothing of what an opened model computes, of any family. */
const harmless = new Set(
  `_attn_implementation _attn_implementation_autoset _name_or_path _num_labels architectures attn_implementation auto_map
   cache_implementation chunk_size_feed_forward decoder_start_token_id dtype finetuning_task gradient_checkpointing
   id2label initializer_cutoff_factor initializer_factor initializer_range is_llama_config label2id language license
   model_type output_attentions output_hidden_states output_past pretraining_tp problem_type
   return_dict task_specific_params tf_legacy_loss tokenizer_class torch_dtype torchscript transformers.js_config
   transformers_version unsloth_fixed unsloth_version use_bfloat16 use_cache
   bos_token_id cls_token_id eos_token_id mask_token_id pad_token_id sep_token_id unk_token_id
   attention_dropout attention_probs_dropout_prob attn_pdrop classifier_dropout classifier_dropout_prob drop_path_rate
   dropout embd_pdrop embed_dropout embedding_dropout hidden_dropout hidden_dropout_prob mlp_dropout qa_dropout
   resid_dropout resid_pdrop seq_classif_dropout summary_first_dropout
   summary_activation summary_proj_to_labels summary_type summary_use_proj
   bad_words_ids begin_suppress_tokens diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size
   exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id length_penalty max_length min_length
   no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_scores prefix remove_invalid_values
   repetition_penalty return_dict_in_generate suppress_tokens temperature top_k top_p typical_p`.split(/\s+/),
);

/** Options that transformers has for all families; another value makes another model. */
const usual: Readonly<Record<string, unknown>> = {
  add_cross_attention: false,
  is_decoder: false,
  is_encoder_decoder: false,
  position_embedding_type: "absolute",
  tie_encoder_decoder: false,
  use_bidirectional_attention: false,
};

export class ConfigFile {
  readonly family: string;
  /** As the file has them. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #asked = new Set<string>();

  /** `path`: of the values in the file, such as "text_config." */
  constructor(family: string, values: unknown, path = "") {
    this.family = family;
    this.#path = path;
    if (!isObject(values) || Array.isArray(values)) throw this.#wrong("", "an object", values);
    this.values = values;
  }

  /** Whether an option has a value. */
  has(name: string): boolean {
    return this.#value(name) !== undefined;
  }

  integer(name: string, otherwise?: number, least = 1, most = Infinity): number {
    const value = this.#value(name, otherwise);
    if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most)
      throw this.#wrong(name, most < Infinity ? `an integer from ${least} to ${most}` : "a positive integer", value);
    return value as number;
  }

  /** The number of layers, which is also the length of lists that tables make. */
  layers(name: string, otherwise?: number): number {
    return this.integer(name, otherwise, 1, 1000);
  }

  /** A finite number > 0. */
  number(name: string, otherwise?: number): number {
    const value = this.#value(name, otherwise);
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0)
      throw this.#wrong(name, "a finite number > 0", value);
    return value;
  }

  boolean(name: string, otherwise?: boolean): boolean {
    const value = this.#value(name, otherwise);
    if (typeof value !== "boolean") throw this.#wrong(name, "true or false", value);
    return value;
  }

  /** A list of one value for each layer, where there is one; a longer list is of a model that was cut. */
  list<T>(name: string, layers: number, allowed: readonly T[]): readonly T[] | undefined {
    const value = this.#value(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length < layers) throw this.#wrong(name, `a list of ${layers} values`, value);
    const other = value.find((element) => !allowed.includes(element as T));
    if (other !== undefined) throw this.unsupported(name, other);
    return value.slice(0, layers) as T[];
  }

  /** One of a table's names, as what the table has for it. */
  choice<T>(name: string, table: Readonly<Record<string, T>>, otherwise?: string): T {
    const value = this.#value(name, otherwise);
    if (value === undefined) throw this.#wrong(name, "a name", value);
    if (typeof value === "string" && Object.hasOwn(table, value)) return table[value]!;
    throw this.unsupported(name, value);
  }

  /** Refuses every value but this one, which is also that of a file without the option. */
  only(name: string, allowed: unknown): void {
    const value = this.#value(name, allowed);
    if (value !== allowed) throw this.unsupported(name, value);
  }

  /** Other options that belong to this one, as a file of their own. */
  part(name: string): ConfigFile {
    return new ConfigFile(this.family, this.#value(name), `${this.#path}${name}.`);
  }

  /** Options that change nothing here. */
  ignore(names: readonly string[]): void {
    for (const name of names) this.#asked.add(name);
  }

  /** Refuses what nobody has asked for. */
  finish(): void {
    for (const [name, allowed] of Object.entries(usual)) if (!this.#asked.has(name)) this.only(name, allowed);
    const unknown = Object.keys(this.values).find(
      (name) => !this.#asked.has(name) && !harmless.has(name) && this.#value(name) !== undefined,
    );
    if (unknown !== undefined) throw this.unsupported(unknown, this.values[unknown]);
  }

  /** A value whose meaning a family does not have here. */
  unsupported(name: string, value: unknown): HeadwiseError {
    const message = `${this.family}: ${this.#path}${name} = ${show(value)} is not supported (config.json)`;
    return new HeadwiseError("unsupported", message);
  }

  #value(name: string, otherwise?: unknown): unknown {
    this.#asked.add(name);
    const value = Object.hasOwn(this.values, name) ? this.values[name] : undefined;
    return value ?? otherwise; // null is none
  }

  #wrong(name: string, expected: string, value: unknown): HeadwiseError {
    const given = value === undefined ? "it is missing" : `got ${show(value)}`;
    const where = `${this.#path}${name}`.replace(/\.$/, "");
    const message = `config.json: ${where && `${where}: `}expected ${expected}, ${given}`;
    return new HeadwiseError("invalid-file", message);
  }
}

/** The labels of a classifier: id2label, or as many as the file says; transformers' default is two. */
export function labelsOf(file: ConfigFile): string[] {
  file.ignore(["num_labels"]);
  const { id2label } = file.values;
  if (isObject(id2label)) return Object.values(id2label).map(String);
  return Array.from({ length: file.integer("num_labels", 2, 1, 1e6) }, (_, n) => `LABEL_${n}`);
}
