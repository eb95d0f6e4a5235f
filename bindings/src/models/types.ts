/** The public types of other libraries' state dicts. */
import type { MultiHeadAttentionConfig, Parameters, ResolvedConfig } from "../module/types.js";

/**
 * Whose names, shapes and orientation a state dict has. `"torch"`: PyTorch's nn.MultiheadAttention, packed or, where
 * kdim or vdim differ, separate. The others are Hugging Face's, with names from the model's block on: `"bert"`
 * (`attention.self.query.weight`), `"gpt2"` (`attn.c_attn.weight`, transposed) and `"llama"`
 * (`self_attn.q_proj.weight`; grouped heads, no biases or, as Qwen2, all but the output's).
 */
export type StateDictLayout = "torch" | "bert" | "gpt2" | "llama";

/** Options of `exportParameters`. */
export interface ExportParametersOptions {
  layout: StateDictLayout;
  /** What stands before the layout's names, such as "encoder.layer.0"; the dot after it may be left out. Default: none. */
  prefix?: string;
}

/** Options of `importParameters`. */
export interface ImportParametersOptions extends ExportParametersOptions {
  /** H: no state dict tells it. */
  numHeads: number;
  /** G, for layout `"llama"`. Default H. */
  numKvHeads?: number;
}

/** A module of `headwise/worker`, as far as `exportParameters` asks it. */
export interface RemoteModule {
  readonly config: ResolvedConfig;
  parameters(): Promise<Parameters>;
  getHeadGates(): Promise<Float32Array>;
}

/** A module as its configuration and parameters. */
export interface ModuleState {
  readonly config: MultiHeadAttentionConfig;
  readonly parameters: Parameters;
}
