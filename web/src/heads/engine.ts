/**
 * Owns the library: one worker instance, the model and three modules with the same parameters. No DOM in here.
 *
 * A run is: tokenise → embed → forward (all heads) → analyse. Only the latest run's result counts: a newer run aborts
 * the older one, which then resolves with `undefined`.
 */
import type { ForwardResult, HeadStatistics, Info, Tensor, WorkerHeadwise, WorkerMultiHeadAttention } from "headwise";
import { load } from "headwise/worker";
import { loadModel, type Model, type Token } from "./model/index";
import { outputChange, shares, splitHeads } from "./statistics";

/** The model reads no more tokens of a text than this. */
export const MAX_TOKENS = 128;

export interface RunRequest {
  readonly text: string;
  readonly causal: boolean;
  /** One gate per head: 1 open, 0 shut. */
  readonly gates: readonly number[];
}

/** What the page shows of one head; T tokens. */
export interface HeadView {
  /** Attention probabilities [T, T]: row = query, column = key. Before the gate. */
  readonly weights: Tensor;
  /** The head's own output [T, Dv]. Before the gate. */
  readonly values: Tensor;
  /** What the head adds to the layer's output [T, O]. After the gate. */
  readonly contributions: Tensor;
  readonly entropy: number;
  readonly distance: number;
  /** ‖contributions‖ / Σ over heads of the same (Frobenius norms); NaN where all gates are shut. */
  readonly share: number;
}

export interface RunResult extends RunRequest {
  readonly tokens: readonly Token[];
  readonly heads: readonly HeadView[];
  /** The same parameters taken as one head of full width. */
  readonly single: HeadView;
  /** Per token: 1 − cosine between the output with all gates open and with the present gates. */
  readonly change: Float32Array;
  /** Of the forward call over all heads, the way to the worker and back included; null in the cached example. */
  readonly milliseconds: number | null;
}

export interface Progress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export class Engine {
  readonly info: Info;
  #current: AbortController | undefined;

  private constructor(
    private readonly hw: WorkerHeadwise,
    private readonly model: Model,
    private readonly gated: WorkerMultiHeadAttention,
    /** The same layer with every gate open: what the gated output is compared with. */
    private readonly open: WorkerMultiHeadAttention,
    private readonly single: WorkerMultiHeadAttention,
  ) {
    this.info = hw.info;
  }

  /** Downloads model and binary side by side, and makes the modules. */
  static async start(modelBase: string | URL, onProgress?: (progress: Progress) => void): Promise<Engine> {
    const starting = load();
    starting.catch(() => {}); // its failure is reported below, even when the model fails first
    const loading = loadModel(modelBase, (loadedBytes, totalBytes) => onProgress?.({ loadedBytes, totalBytes }));
    const model = await loading.catch((error: unknown) => {
      void starting.then((hw) => hw.dispose());
      throw error;
    });
    const hw = await starting;
    const make = async (config: typeof model.config) => {
      const mha = await hw.multiHeadAttention(config);
      await mha.setParameters(model.parameters);
      return mha;
    };
    const { config } = model;
    // One head as wide as all heads together: the very same matrices, no longer split; default scale 1 / √256.
    const width = config.numHeads * (config.headDim ?? config.embedDim / config.numHeads);
    const wide = { ...config, numHeads: 1, headDim: width, valueHeadDim: width };
    try {
      return new Engine(hw, model, await make(config), await make(config), await make(wide));
    } catch (error) {
      await hw.dispose();
      throw error;
    }
  }

  /** Resolves with `undefined` when a newer run took over, or when the text has no tokens. */
  async run(request: RunRequest): Promise<RunResult | undefined> {
    this.#current?.abort();
    const controller = (this.#current = new AbortController());
    const tokens = this.model.tokenize(request.text);
    if (tokens.length === 0) return undefined;
    try {
      return await this.#compute(request, tokens, controller.signal);
    } catch (error) {
      if (controller.signal.aborted) return undefined;
      throw error;
    }
  }

  async #compute(request: RunRequest, tokens: Token[], signal: AbortSignal): Promise<RunResult> {
    const x = this.model.embed(tokens.map((token) => token.id)); // [T, E]
    const { causal } = request;
    const everything = { causal, signal, return: { weights: "probabilities", heads: "contributions" } } as const;
    const valuesOnly = { causal, signal, return: { heads: "values" } } as const;

    // Every run sets the gates first, and calls run in order: an aborted run cannot leave its gates behind.
    await this.gated.setHeadGates(Float32Array.from(request.gates), { signal });
    const start = performance.now();
    const heads = await this.gated.forward(x, everything);
    const milliseconds = performance.now() - start;

    const wide = this.single.forward(x, everything);
    const [values, open, single, singleValues, statistics, singleStatistics] = await Promise.all([
      this.gated.forward(x, valuesOnly),
      this.open.forward(x, { causal, signal }),
      wide,
      this.single.forward(x, valuesOnly),
      this.#analyze(heads, causal, signal),
      wide.then((result) => this.#analyze(result, causal, signal)),
    ]);
    return {
      ...request,
      tokens,
      heads: views(heads, values, statistics),
      single: views(single, singleValues, singleStatistics)[0],
      change: outputChange(open.output, heads.output),
      milliseconds,
    };
  }

  #analyze(result: ForwardResult, causal: boolean, signal: AbortSignal): Promise<HeadStatistics[]> {
    return this.hw.analyzeHeads(result.weights!, { causal, signal });
  }

  dispose(): Promise<void> {
    this.#current?.abort();
    return this.hw.dispose();
  }
}

function views(forward: ForwardResult, values: ForwardResult, statistics: readonly HeadStatistics[]): HeadView[] {
  const weights = splitHeads(forward.weights!);
  const contributions = splitHeads(forward.heads!);
  const ownOutputs = splitHeads(values.heads!);
  const share = shares(contributions);
  return statistics.map(({ entropy, distance }, h) => ({
    weights: weights[h],
    values: ownOutputs[h],
    contributions: contributions[h],
    entropy,
    distance,
    share: share[h],
  }));
}
