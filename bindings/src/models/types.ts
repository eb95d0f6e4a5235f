/** The public types of other libraries' state dicts. */
import type { MultiHeadAttentionConfig, Parameters, ResolvedConfig } from "../module/types.js";

/**
 * The names, shapes and orientation of the tensors in a state dict. `"torch"`: PyTorch's nn.MultiheadAttention, with one packed input
 * projection or, if kdim or vdim differ, separate ones. The others are Hugging Face's; names start after the layer's prefix: `"bert"`
 * (`attention.self.query.weight`), `"gpt2"` (`attn.c_attn.weight`, transposed) and `"llama"` (`self_attn.q_proj.weight`; grouped heads;
 * no biases or, as in Qwen2, those of query, key and value).
 */
export type StateDictLayout = "torch" | "bert" | "gpt2" | "llama";

/** Options of `exportParameters`. */
export interface ExportParametersOptions {
  /** Whose names the tensors have. */
  layout: StateDictLayout;
  /** Prefix of the layout's names, such as "encoder.layer.0", with or without the final dot. Default: none. */
  prefix?: string;
}

/** Options of `importParameters`. */
export interface ImportParametersOptions extends ExportParametersOptions {
  /** H: number of heads. State dicts do not contain it. */
  numHeads: number;
  /** G: number of key/value heads, for layout `"llama"`. Default H. */
  numKvHeads?: number;
}

/** What `exportParameters` uses of a module of `headwise/worker`. */
export interface RemoteModule {
  /** As `MultiHeadAttention.config`. */
  readonly config: ResolvedConfig;
  /** As `MultiHeadAttention.parameters`. */
  parameters(): Promise<Parameters>;
  /** As `MultiHeadAttention.headGates`. */
  getHeadGates(): Promise<Float32Array>;
}

/** Configuration and parameters of a module. */
export interface ModuleState {
  /** For `Headwise.multiHeadAttention`. */
  readonly config: MultiHeadAttentionConfig;
  /** For `MultiHeadAttention.setParameters`. */
  readonly parameters: Parameters;
}
