/**
 * Universal Sentence Encoder Lite on the library, in a worker. Layer 0's attention is a module, since it reads another stream than it
 * adds to (256 and 512 wide); the rest is a transformer of two layers, of which the first has no heads of its own.
 */
import type { Tensor, TransformerConfig, WorkerHeadwise, WorkerMultiHeadAttention, WorkerTransformer } from "headwise";
import { embed, type EmbeddingWeights } from "./model/embedding";
import type { EncoderWeights } from "./model/index";
import { createTokenizer, type Vocabulary } from "./model/tokenizer";
import { makeLinear, splitColumns, type Linear } from "./linear";
import { gatesWithout, type HeadPlace, type Input, type Look, type Run, type Subject, type Token } from "./subject";

/** What needs the second file. */
interface Rest {
  /** The stream that layer 0 adds to. */
  readonly dense: Linear;
  /** With and without causal mask, each made when it is needed. */
  readonly body: (causal: boolean) => Promise<{ model: WorkerTransformer; attention: WorkerMultiHeadAttention }>;
  readonly pool: Linear;
}

/** Layer 0's attention on a text: of which everything after it is a function. */
interface Lower {
  readonly x: Tensor;
  readonly normed: Tensor;
  readonly weights: Tensor;
  readonly contributions: Tensor;
  readonly output: Tensor;
}

export class Encoder implements Subject {
  readonly title = "Universal Sentence Encoder Lite";
  readonly heads = [4, 4];
  readonly maxTokens: number;
  readonly causal = false;
  readonly pictures = false;
  readonly tokenize: (text: string) => Token[];
  #rest: Rest | undefined;
  #completed!: () => void;
  readonly #whole = new Promise<void>((resolve) => (this.#completed = resolve));

  private constructor(
    private readonly hw: WorkerHeadwise,
    private embedding: EmbeddingWeights,
    private readonly lower: WorkerMultiHeadAttention,
    private readonly project: Linear,
    vocabulary: Vocabulary,
  ) {
    this.maxTokens = vocabulary.maxTokens;
    this.tokenize = createTokenizer(vocabulary);
  }

  static async make(hw: WorkerHeadwise, first: EncoderWeights & { vocabulary: Vocabulary }): Promise<Encoder> {
    const { tensors, metadata, vocabulary } = first;
    const attention = within(tensors, "layers.0.attention.");
    const lower = await hw.multiHeadAttention({
      embedDim: attention["q_proj.weight"].shape[1],
      numHeads: Number(metadata.numHeads),
      outputDim: attention["out_proj.weight"].shape[0],
    });
    await lower.setParameters(attention);
    const project = await makeLinear(
      hw,
      stacked(["q", "k", "v"].map((name) => attention[`${name}_proj.weight`])),
      stacked(["q", "k", "v"].map((name) => attention[`${name}_proj.bias`])),
    );
    const embedding = {
      table: tensors.embedding,
      frequencies: tensors["timing.frequencies"],
      normWeight: tensors["layers.0.norm1.weight"],
      normBias: tensors["layers.0.norm1.bias"],
      epsilon: Number(metadata.layerNormEpsilon),
    };
    return new Encoder(hw, embedding, lower, project, vocabulary);
  }

  /** From now on runs have both layers, and the embedding. */
  async complete({ tensors, metadata }: EncoderWeights): Promise<void> {
    const { hw } = this;
    const [embedDim, feedForwardDim] = tensors["layers.1.feed_forward.down.weight"].shape;
    const numHeads = Number(metadata.numHeads);
    const config: TransformerConfig = {
      ...{ vocabSize: 1, contextLength: this.maxTokens, layers: 2, embedDim, feedForwardDim, numHeads },
      ...{ normEpsilon: Number(metadata.layerNormEpsilon), activation: "relu" as const, positions: "none" as const },
      ...{ head: false, finalNorm: false, heads: [[], [0, 1, 2, 3]] },
    };
    const names = Object.keys(tensors).filter((name) => /^layers\.(1|0\.(norm2|feed_forward))/.test(name));
    const parameters = Object.fromEntries(names.map((name) => [name, tensors[name]]));
    const make = async (causal: boolean) => {
      const model = await hw.transformer({ ...config, causal });
      await model.setParameters(parameters);
      return { model, attention: await model.attention(1) };
    };
    const made = new Map<boolean, ReturnType<typeof make>>();
    const rest = {
      dense: await makeLinear(hw, tensors["dense.weight"], tensors["dense.bias"]),
      pool: await makeLinear(hw, tensors["pool.weight"], tensors["pool.bias"]),
      body: (causal: boolean) => made.get(causal) ?? made.set(causal, make(causal)).get(causal)!,
    };
    await rest.body(false);
    const more = tensors["embedding.rest"];
    if (more) this.embedding = { ...this.embedding, table: stacked([this.embedding.table, more]) };
    this.#rest = rest;
    this.#completed();
  }

  async run(input: Input, signal: AbortSignal): Promise<Run> {
    const tokens = input.tokens.map(({ id }) => id);
    const analyze = (weights: Tensor) => this.hw.analyzeHeads(weights, { causal: input.causal, tokens, signal });
    const lower = await this.#lower(input, signal);
    if (!this.#rest) return { weights: [lower.weights], statistics: [await analyze(lower.weights)] };
    const { hidden, layers } = await this.#upper(input, lower, { weights: "probabilities" }, signal);
    const weights = [lower.weights, layers[1].weights!];
    return { weights, statistics: await Promise.all(weights.map(analyze)), hidden };
  }

  async look(input: Input, layer: number, signal: AbortSignal): Promise<Look> {
    const lower = await this.#lower(input, signal);
    if (layer === 0) {
      const { causal } = input;
      const [projected, first, second] = await Promise.all([
        this.project(lower.normed, signal),
        this.lower.forward(lower.normed, { causal, signal, return: { weights: "scores", heads: "values" } }),
        this.lower.forward(lower.normed, { causal, signal, return: { weights: "masked" } }),
      ]);
      const [queries, keys, values] = splitColumns(projected, 3, this.heads[0]);
      const { contributions, output: attention } = lower;
      const stages = { scores: first.weights!, masked: second.weights!, outputs: first.heads! };
      return { layer, ...plain(queries), queries, keys, values, ...stages, contributions, attention };
    }
    const inside = { queries: true, keys: true, values: true, weights: "scores", heads: "values" } as const;
    const added = { weights: "masked", heads: "contributions", attention: true } as const;
    const [first, second] = await Promise.all([
      this.#upper(input, lower, inside, signal),
      this.#upper(input, lower, added, signal),
    ]);
    const { queries, keys, values, weights: scores, heads: outputs } = first.layers[1] as Required<CapturedHeads>;
    const { weights: masked, heads: contributions, attention } = second.layers[1] as Required<CapturedHeads>;
    const stages = { scores, masked, outputs };
    return { layer, ...plain(queries), queries, keys, values, ...stages, contributions, attention };
  }

  async embed(input: Input, off: HeadPlace | null, signal: AbortSignal): Promise<Float32Array> {
    await this.#whole;
    const gated = { ...input, gates: gatesWithout(input.gates, off) };
    const lower = await this.#lower(gated, signal);
    const { hidden } = await this.#upper(gated, lower, {}, signal);
    return this.#pooled(hidden, signal);
  }

  async #lower({ tokens, gates, causal }: Input, signal: AbortSignal): Promise<Lower> {
    const ids = tokens.map(({ id }) => id);
    // The first file has the frequent pieces.
    if (!this.#rest && ids.some((id) => id >= this.embedding.table.shape[0])) await this.#whole;
    const { x, normed } = embed(ids, this.embedding);
    // Sent with the call that needs it, one after the other: no other run's gates come between.
    const [, forward] = await Promise.all([
      this.lower.setHeadGates(Float32Array.from(gates[0]), { signal }),
      this.lower.forward(normed, { causal, signal, return: { weights: "probabilities", heads: "contributions" } }),
    ]);
    const { weights, heads, output } = forward;
    return { x, normed, weights: weights!, contributions: heads!, output };
  }

  async #upper({ gates, causal }: Input, { x, output }: Lower, capture: object, signal: AbortSignal) {
    const { dense, body } = this.#rest!;
    const [before, { model, attention }] = await Promise.all([dense(x, signal), body(causal)]);
    const edits = [
      { layer: 0, at: "before", set: before },
      { layer: 0, at: "attention", set: output },
    ] as const;
    const tokens = new Int32Array(x.shape[0]); // only how many there are
    const [, result] = await Promise.all([
      attention.setHeadGates(Float32Array.from(gates[1]), { signal }),
      model.forward(tokens, { edits, capture: { ...capture, layers: [1] }, signal }),
    ]);
    return result;
  }

  /** The mean over tokens, a linear layer, tanh, length 1. */
  async #pooled(hidden: Tensor, signal: AbortSignal): Promise<Float32Array> {
    const [rows, width] = hidden.shape as [number, number];
    const mean = new Float32Array(width);
    for (let i = 0; i < rows * width; ++i) mean[i % width] += hidden.data[i] / rows;
    const pooled = (await this.#rest!.pool({ data: mean, shape: [1, width] }, signal)).data.map(Math.tanh);
    const length = Math.hypot(...pooled);
    return pooled.map((value) => value / length);
  }
}

type CapturedHeads = Awaited<ReturnType<WorkerTransformer["forward"]>>["layers"][number];

/** How this model's scores are made. */
const plain = ({ shape }: Tensor) => ({ scale: 1 / Math.sqrt(shape[2]), softcap: 0, alibi: false });

/** The tensors whose names begin with `prefix`, without it. */
function within(tensors: EncoderWeights["tensors"], prefix: string): Record<string, Tensor> {
  const names = Object.keys(tensors).filter((name) => name.startsWith(prefix));
  return Object.fromEntries(names.map((name) => [name.slice(prefix.length), tensors[name]]));
}

/** Matrices or vectors under each other. */
function stacked(parts: readonly Tensor[]): Tensor {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { data, shape: [parts.reduce((sum, { shape }) => sum + shape[0], 0), ...parts[0].shape.slice(1)] };
}
