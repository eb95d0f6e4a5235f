/** A published model on the library, in a worker, as the page sees it. */
import type { Tensor, WorkerHeadwise, WorkerMultiHeadAttention, WorkerOpenedModel, WorkerTransformer } from "headwise";
import {
  gatesWithout,
  openGates,
  type HeadPlace,
  type Input,
  type Look,
  type Run,
  type Subject,
  type Token,
} from "../heads/subject";
import type { Reader } from "./readers";

type AnyModel = WorkerTransformer | WorkerOpenedModel;

/** Patches of an image as tokens: `extra` tokens (class, registers), then rows × columns of patches. */
interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly extra: number;
}

/** What the page shows of a text at most: all maps of 144 heads then take 38 MB. */
const MAX_TOKENS = 256;

/** Of number formats in memory, those in files. */
const FILE_TYPES = { f32: "F32", bf16: "BF16", int8: "I8" } as const;

export class Opened implements Subject {
  readonly heads: readonly number[];
  readonly maxTokens: number;
  readonly causal: boolean;
  /** Whether it predicts tokens. */
  readonly predicts: boolean;
  /** Tokens that end a text. */
  readonly stopTokens: readonly number[];
  readonly grid: Grid | undefined;
  readonly pictures: boolean;
  readonly embed: Subject["embed"];

  private constructor(
    readonly hw: WorkerHeadwise,
    readonly title: string,
    readonly model: AnyModel,
    readonly reader: Reader,
    private readonly modules: readonly WorkerMultiHeadAttention[],
  ) {
    const { heads, contextLength, causal, head, patches } = model.config;
    this.heads = heads.map(({ length }) => length);
    this.maxTokens = Math.min(contextLength || MAX_TOKENS, MAX_TOKENS);
    this.causal = causal;
    this.predicts = head;
    this.stopTokens = "stopTokens" in model ? model.stopTokens : [];
    if (patches) {
      const [rows, columns] = patches.grid;
      this.grid = { rows, columns, extra: Number(patches.classToken) + patches.registerTokens };
    }
    this.pictures = patches !== undefined;
    if ("embed" in model && !causal && !patches)
      this.embed = (input, off, signal) => this.#embed(model, input, off, signal);
  }

  static async make(hw: WorkerHeadwise, title: string, model: AnyModel, reader: Reader): Promise<Opened> {
    const layers = Array.from({ length: model.config.layers }, (_, layer) => layer);
    return new Opened(hw, title, model, reader, await Promise.all(layers.map((layer) => model.attention(layer))));
  }

  tokenize(text: string): readonly Token[] {
    if (!this.grid) return this.reader.tokenize(text).slice(0, this.maxTokens);
    if (text === "") return []; // no picture
    const { rows, columns, extra } = this.grid;
    return Array.from({ length: extra + rows * columns }, (_, id) => {
      if (id < extra) return { id, piece: id === 0 ? "▁class" : `▁register ${id}` };
      const patch = id - extra;
      return { id, piece: `▁${Math.floor(patch / columns) + 1},${(patch % columns) + 1}` };
    });
  }

  async run(input: Input, signal: AbortSignal): Promise<Run> {
    const { tokens, causal } = input;
    const logits = this.predicts && causal ? "last" : "none";
    const result = await this.#forward(input, { logits, capture: { weights: "probabilities" } }, signal);
    const plain = this.grid ? unbatched : same;
    const weights = result.layers.map(({ weights }) => plain(weights!));
    const options = { causal, signal, ...(!this.grid && { tokens: tokens.map(({ id }) => id) }) };
    const statistics = await Promise.all(weights.map((each) => this.hw.analyzeHeads(each, options)));
    return { weights, statistics, hidden: plain(result.hidden), ...(result.logits && { logits: result.logits.data }) };
  }

  async look(input: Input, layer: number, signal: AbortSignal): Promise<Look> {
    const layers = [layer];
    const inside = { layers, queries: true, keys: true, values: true, weights: "scores", heads: "values" } as const;
    const added = { layers, weights: "masked", heads: "contributions", attention: true } as const;
    const [first, second] = await Promise.all(
      [inside, added].map((capture) => this.#forward(input, { logits: "none", capture }, signal)),
    );
    const one = first.layers[layer];
    const other = second.layers[layer];
    const plain = this.grid ? unbatched : same;
    const { scale, softcap, positions } = this.model.config;
    return {
      layer,
      ...{ scale, softcap, alibi: positions === "alibi" },
      queries: plain(one.queries!),
      keys: plain(one.keys!),
      values: plain(one.values!),
      scores: plain(one.weights!),
      masked: plain(other.weights!),
      outputs: plain(one.heads!),
      contributions: plain(other.heads!),
      attention: plain(other.attention!),
    };
  }

  /** The last hidden states [T, E], with one more head off if there is one. */
  async hidden(input: Input, off: HeadPlace | null, signal: AbortSignal): Promise<Tensor> {
    const gates = gatesWithout(input.gates, off);
    const { hidden } = await this.#forward({ ...input, gates }, { logits: "none" }, signal);
    return this.grid ? unbatched(hidden) : hidden;
  }

  /** Another one of the same, with all heads on: what runs and gates of the page do to this one does not reach it. */
  async copy(signal: AbortSignal): Promise<Opened> {
    const copy = await this.like(await this.model.prune({}, { signal }));
    await copy.#setGates(openGates(copy.heads));
    return copy;
  }

  /** Whether heads of it are gone. */
  get pruned(): boolean {
    const { heads, numHeads } = this.model.config;
    return heads.some(({ length }) => length < numHeads);
  }

  /** Names of the files that `save` makes. */
  get files(): readonly string[] {
    return "architecture" in this.model ? ["model.safetensors", "config.json"] : ["model.safetensors"];
  }

  /** A model that was made of this one, and reads and writes as it does. */
  like(model: AnyModel, title = this.title): Promise<Opened> {
    return Opened.make(this.hw, title, model, this.reader);
  }

  /** The model as files, in the number format that it has in memory. */
  async save(signal: AbortSignal): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
    const saved = await this.model.save({ dtype: FILE_TYPES[this.model.config.dtype], signal });
    return saved instanceof Uint8Array ? { "model.safetensors": saved } : { ...saved };
  }

  async #embed(model: WorkerOpenedModel, input: Input, off: HeadPlace | null, signal: AbortSignal) {
    const [, { data }] = await Promise.all([
      this.#setGates(gatesWithout(input.gates, off), signal),
      model.embed([idsOf(input)], { normalize: true, signal }),
    ]);
    return data;
  }

  /** Sent together, in this order: no other run's gates come between. */
  async #forward(input: Input, options: object, signal: AbortSignal) {
    const read = input.pixels ? { pixels: input.pixels } : idsOf(input);
    const [, result] = await Promise.all([
      this.#setGates(input.gates, signal),
      this.model.forward(read, { ...options, signal }),
    ]);
    return result;
  }

  #setGates(gates: Input["gates"], signal?: AbortSignal): Promise<unknown> {
    return Promise.all(
      this.modules.map((module, layer) => {
        const of = gates[layer];
        return of.length > 0 ? module.setHeadGates(Float32Array.from(of), { signal }) : undefined;
      }),
    );
  }
}

const idsOf = ({ tokens }: Input) => Int32Array.from(tokens, ({ id }) => id);

/** Images are a batch of one: [1, H, T, T] → [H, T, T], [1, T, E] → [T, E]. */
const unbatched = ({ data, shape }: Tensor): Tensor => ({ data, shape: shape.slice(1) });
const same = (tensor: Tensor): Tensor => tensor;
