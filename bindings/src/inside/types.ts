/** The public types of the analyses of whole models. */
import type { Tensor, TensorLike, Tokens, Watchable } from "../base/types.js";
import type { GroupHeadsOptions } from "../transformer/types.js";
import type {
  CircuitOptions,
  ClusterHeadsOptions,
  Composition,
  DetectHeadsOptions,
  HeadCircuit,
  HeadCircuitOptions,
  HeadClusters,
  RolloutOptions,
} from "./circuit_types.js";
import type { AttributeLogitsOptions, LogitAttribution, LogitLensOptions } from "./logit_types.js";
import type {
  AblateHeadsOptions,
  AttributionMap,
  AttributionPatchOptions,
  Batches,
  HeadAblation,
  PatchMap,
  PatchOptions,
  PathPatchOptions,
} from "./patch_types.js";
import type { LearnedGates, LearnGatesOptions, ShapleyOptions, ShapleyValues } from "./pruning_types.js";
import type { HeadReport, HeadReportOptions } from "./report_types.js";

export type * from "./circuit_types.js";
export type * from "./logit_types.js";
export type * from "./patch_types.js";
export type * from "./pruning_types.js";
export type * from "./report_types.js";

/** Options of all analyses: progress, and a signal that stops them (code `aborted`). */
export interface AnalysisOptions extends Watchable {
  /** Cancels the analysis when it aborts: it rejects with code `aborted`. */
  signal?: AbortSignal;
}

/** Analyses of whole models. Maps of heads have the columns of the first model's heads; those that were pruned are NaN. Text is for models with a tokenizer. docs/heads.md has the formulas and sources. */
export interface Analyses<Model> {
  /**
   * The logits that the residual stream before each layer, and after the last one, gives through the last norm and the language head:
   * [N + 1, B, positions, V] (nostalgebraist 2020). With `middle` [2 N + 1, …].
   */
  logitLens(model: Model, tokens: Tokens | string, options?: LogitLensOptions & AnalysisOptions): Promise<Tensor>;
  /**
   * Direct logit attribution: how much each head (or attention), feed-forward, the embedding and the biases add to a logit difference,
   * with the divisors of the norms on the way as they are in this pass (Elhage et al. 2021). The parts sum to the difference.
   */
  attributeLogits(
    model: Model,
    tokens: Tokens | string,
    options: AttributeLogitsOptions & AnalysisOptions,
  ): Promise<LogitAttribution>;
  /**
   * The loss, or a metric, with the output of one head replaced at all tokens, for each head: [N, H]. One forward pass per head and batch.
   */
  ablateHeads(model: Model, batches: Batches, options: AblateHeadsOptions & AnalysisOptions): Promise<HeadAblation>;
  /**
   * Activation patching: the metric of the corrupted run when one part of it is as in the clean run (Vig et al. 2020; Meng et al. 2022).
   * Both runs have the same number of tokens. One forward pass for each element of the map.
   */
  patch(
    model: Model,
    clean: Tokens | string,
    corrupted: Tokens | string,
    options: PatchOptions & AnalysisOptions,
  ): Promise<PatchMap>;
  /** Attribution patching: `patch` less `corrupted`, estimated by the gradient at the corrupted run (Nanda 2023). Two passes forward, one with its way back. */
  attributionPatch(
    model: Model,
    clean: Tokens | string,
    corrupted: Tokens | string,
    options: AttributionPatchOptions & AnalysisOptions,
  ): Promise<AttributionMap>;
  /**
   * Path patching: the metric when each head gives what it gives in the clean run to some heads (or the logits) alone, directly; all
   * heads between them are as in the corrupted run (Wang et al. 2022): [N, H] by sending head. Two forward passes per head.
   */
  pathPatch(
    model: Model,
    clean: Tokens | string,
    corrupted: Tokens | string,
    options: PathPatchOptions & AnalysisOptions,
  ): Promise<PatchMap>;
  /** How well each head's attention fits a pattern, on a text or on random tokens twice: [N, H] (TransformerLens's `detect_head`). */
  detectHeads(model: Model, options: DetectHeadsOptions & AnalysisOptions): Promise<Tensor>;
  /**
   * How much the output of one head reaches the queries, keys or values of another, by their weights: [N, H, N, H], from the first two
   * axes to the last two; 0 unless the second layer is later (Elhage et al. 2021).
   */
  composeHeads(model: Model, composition: Composition, options?: CircuitOptions & AnalysisOptions): Promise<Tensor>;
  /** The circuit of a head between tokens, by its weights, without positions (Elhage et al. 2021). `head`: an index of the layer's current heads. */
  headCircuit(
    model: Model,
    layer: number,
    head: number,
    circuit: "QK" | "OV",
    options?: HeadCircuitOptions & AnalysisOptions,
  ): Promise<HeadCircuit>;
  /**
   * Attention rollout: how much of each input token reaches each output token through all layers, [B, L, L] or [L, L], from the weights of
   * each layer as `forward` captures them (Abnar & Zuidema 2020).
   */
  rollout(weights: readonly TensorLike[], options?: RolloutOptions & AnalysisOptions): Promise<Tensor>;
  /**
   * Value-weighted attention: the norm of what each query gets from each key, |α_ij v_j W_O|, of each layer [B, H, L, L] (Kobayashi et al.
   * 2020), with the layer's current heads.
   */
  weighValues(model: Model, tokens: Tokens | string, options?: AnalysisOptions): Promise<Tensor[]>;
  /** Groups of heads whose attention on these texts is similar: Jensen–Shannon divergence, average linkage (Clark et al. 2019). */
  clusterHeads(
    model: Model,
    tokens: Tokens | string,
    options?: ClusterHeadsOptions & AnalysisOptions,
  ): Promise<HeadClusters>;
  /** What the field writes about heads, of every head: its attention on these texts, role scores, importance, and which logits it writes to. */
  headReport(
    model: Model,
    texts: readonly (Tokens | string)[],
    options?: HeadReportOptions & AnalysisOptions,
  ): Promise<HeadReport>;
  /**
   * Shapley values of the heads: how much loss each saves, as the mean over random orders in which the heads are removed, with standard errors
   * (Shapley 1953; Held & Yang 2023). For each order one evaluation per head and batch. `importance` is for `pruneByImportance`.
   */
  shapleyValues(model: Model, batches: Batches, options?: ShapleyOptions & AnalysisOptions): Promise<ShapleyValues>;
  /**
   * Learns which heads may be closed: hard concrete gates with a penalty of those that are open (Louizos et al. 2018; Voita et al. 2019). The
   * model's parameters stay as they are. Deterministic by `seed`. `importance` is for `pruneByImportance`.
   */
  learnGates(model: Model, batches: Batches, options?: LearnGatesOptions & AnalysisOptions): Promise<LearnedGates>;
  /** What `model.groupHeads` does. */
  groupHeads<M extends Model>(model: M, groups: number, options?: GroupHeadsOptions): Promise<M>;
}
