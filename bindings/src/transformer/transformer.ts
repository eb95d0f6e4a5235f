import { checkHeadList, checkInteger, invalidOption, typeTag } from "../base/checks.js";
import { net, seal } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { Optimizer } from "../module/adamw.js";
import { checkGenerate, generate } from "./generate.js";
import { Staging, type Instance } from "../runtime/instance.js";
import type { Parameter } from "../module/config.js";
import { Module } from "../module/multi_head_attention.js";
import type { NativeModel } from "../runtime/native.js";
import { readParameters, writeParameters } from "../module/parameters.js";
import { product } from "../base/tensor.js";
import { checkBatch, refuseTooLarge, StagedTokens } from "./tokens.js";
import { freeingTrained, trained, type Moments } from "../module/trained.js";
import {
  attentionConfig,
  allHeads,
  nativeTransformerConfig,
  resolveTransformerConfig,
  transformerBytes,
  transformerParameters,
} from "./config.js";
import { saveTransformer } from "./save.js";
import { forward } from "./forward.js";
import type { AdamW, MultiHeadAttention, Parameters } from "../module/types.js";
import type {
  Capture,
  Evaluation,
  GenerateOptions,
  ResolvedTransformerConfig,
  SaveOptions,
  Tokens,
  Transformer,
  TransformerConfig,
  TransformerResult,
} from "./types.js";
import type { Bytes, TensorLike } from "../base/types.js";

/** A batch that has been checked, where the core reads it. */
interface StagedBatch {
  readonly native: NativeModel;
  readonly staging: Staging;
  readonly staged: StagedTokens;
}

export class Model implements Transformer {
  declare [Symbol.dispose]: () => void;
  readonly config: ResolvedTransformerConfig;
  readonly parameterCount: number;
  readonly #instance: Instance;
  readonly #parameters: readonly Parameter[];
  readonly #attentions: readonly MultiHeadAttention[];
  readonly #free: () => void;
  #native: NativeModel | undefined;

  constructor(instance: Instance, native: NativeModel, config: ResolvedTransformerConfig) {
    this.#instance = instance;
    this.#native = native;
    this.config = Object.freeze(config);
    this.#parameters = transformerParameters(config);
    this.parameterCount = this.#parameters.reduce((count, { shape }) => count + product(shape), 0);
    const layers = config.heads.map((_, n) => native.attention(n)!);
    const moments: Moments[] = [new Map(), ...layers.map(() => new Map())];
    this.#attentions = layers.map((layer, n) => {
      const owner = { model: this, alive: () => void this.#alive(), moments: moments[n + 1]! };
      return new Module(instance, layer, attentionConfig(config, n), config.heads[n]!, owner);
    });
    this.#free = freeingTrained(instance, [...layers, native], moments);
    trained.set(this, {
      instance,
      alive: () => this.#alive(),
      changed: () => this.#attentions.forEach((attention) => trained.get(attention)!.changed()),
      owner: undefined,
      moments: moments[0]!,
    });
    seal(this, this.#free);
  }

  forward(tokens: Tokens, options?: { capture?: Capture }): TransformerResult {
    return forward(this.#instance, () => this.#alive(), this.config, tokens, options);
  }

  accumulateGradients(tokens: Tokens, targets: Tokens): number {
    return this.#learn(this.#batch(tokens, targets), false);
  }

  trainStep(tokens: Tokens, targets: Tokens, optimizer: AdamW): number {
    this.#alive();
    if (!(optimizer instanceof Optimizer)) throw invalidOption("optimizer", "what adamW() has made", optimizer);
    const batch = this.#batch(tokens, targets);
    const parts = optimizer.prepare([this]);
    const loss = this.#learn(batch, true);
    optimizer.apply(parts);
    return loss;
  }

  evaluate(tokensLike: Tokens, targetsLike: Tokens): Evaluation {
    const { native, staging, staged } = this.#batch(tokensLike, targetsLike);
    const { status, loss, count, correct } = native.evaluate(staged.call);
    staging.check(status);
    return { loss, accuracy: count === 0 ? 0 : correct / count, count };
  }

  generate(prompt: Int32Array | readonly number[], options: GenerateOptions): Generator<number, void, void> {
    this.#alive();
    const checked = checkGenerate(prompt, options, this.config);
    return generate(this.#instance, () => this.#alive(), this.config, checked);
  }

  attention(layer: number): MultiHeadAttention {
    this.#alive();
    return this.#attentions[checkInteger(layer, "layer", 0, this.config.layers - 1)]!;
  }

  parameters(): Parameters {
    const native = this.#alive();
    return this.#read((index, to) => native.getParameter(index, to));
  }

  setParameters(parameters: Readonly<Record<string, TensorLike>>): void {
    this.#alive();
    const set = (index: number, from: number) => this.#alive().setParameter(index, from);
    writeParameters(this.#instance, this.#parameters, parameters, set);
    trained.get(this)!.changed();
  }

  gradients(): Parameters {
    const native = this.#alive();
    new Staging(this.#instance).check(native.enableGradients());
    const gradients = this.#read((index, to) => native.getGradient(index, to));
    return Object.assign(gradients, this.gateGradients());
  }

  /** The gates' part of `gradients`, without copies of all the others. */
  gateGradients(): Parameters {
    const native = this.#alive();
    new Staging(this.#instance).check(native.enableGradients());
    const gates = this.config.heads.map(({ length }, n) => ({
      name: `layers.${n}.attention.head_gates`,
      index: n,
      shape: [length],
    }));
    return readParameters(this.#instance, gates, (layer, to) => native.getGateGradient(layer, to));
  }

  zeroGradients(): void {
    this.#alive().zeroGradients();
  }

  prune(headsLike: Readonly<Record<number, readonly number[]>>): Transformer {
    const native = this.#alive();
    if (typeTag(headsLike) !== "Object") throw invalidOption("prune", "an object { layer: heads }", headsLike);
    const { layers, heads } = this.config;
    const removed = new Map<number, Set<number>>();
    for (const [name, list] of Object.entries(headsLike)) {
      const layer = checkInteger(String(Number(name)) === name ? Number(name) : name, "prune, layer", 0, layers - 1);
      removed.set(layer, checkHeadList(list, `prune, layer ${layer}`, heads[layer]!.length));
    }
    const kept = heads.map((all, n) => Array.from(all, (_, h) => h).filter((h) => !removed.get(n)?.has(h)));
    const config = {
      ...this.config,
      heads: Object.freeze(kept.map((list, n) => Object.freeze(list.map((h) => heads[n]![h]!)))),
    };
    return new Model(this.#instance, keepHeads(this.#instance, native, kept, 4 * this.parameterCount), config);
  }

  save(options?: SaveOptions): Bytes {
    this.#alive();
    return saveTransformer(this, options);
  }

  dispose(): void {
    this.#native = undefined;
    net.unregister(this);
    this.#free();
  }

  #alive(): NativeModel {
    this.#instance.checkAlive();
    if (this.#native === undefined) throw new HeadwiseError("disposed", "this transformer was disposed");
    return this.#native;
  }

  /** Checks a batch, and puts it where the core reads it. */
  #batch(tokensLike: Tokens, targetsLike: Tokens): StagedBatch {
    this.#alive();
    const { vocabSize, contextLength, embedDim, feedForwardDim } = this.config;
    const { tokens, targets } = checkBatch(tokensLike, targetsLike, vocabSize, contextLength);
    const native = this.#alive(); // getters may have done anything
    refuseTooLarge(this.#instance, product(tokens.shape) * Math.max(embedDim, feedForwardDim, vocabSize));
    const staging = new Staging(this.#instance);
    const staged = new StagedTokens(staging, tokens, targets);
    staging.place();
    return { native, staging, staged };
  }

  #learn({ native, staging, staged }: StagedBatch, fresh: boolean): number {
    const { status, loss } = native.accumulate(staged.call, fresh);
    staging.check(status);
    return loss;
  }

  #read(get: (index: number, to: number) => void): Parameters {
    return readParameters(this.#instance, this.#parameters, get);
  }
}

/** An argument that is to be a transformer of this instance. */
export function checkTransformer(value: unknown, instance: Instance): Model {
  instance.checkAlive();
  if (!(value instanceof Model)) throw invalidOption("model", "a transformer", value);
  const { instance: own, alive } = trained.get(value)!;
  if (own !== instance) throw new HeadwiseError("invalid-option", "model: it belongs to another Headwise instance");
  alive();
  return value;
}

/** @param kept of each layer, indices of the native model's heads */
function keepHeads(
  instance: Instance,
  native: NativeModel,
  kept: readonly (readonly number[])[],
  bytes: number,
): NativeModel {
  const staging = new Staging(instance);
  const heads = staging.input(Uint32Array.from(kept.flat()));
  const counts = staging.input(Uint32Array.from(kept, ({ length }) => length));
  staging.place();
  const smaller = native.keepHeads(staging.pointer(heads), staging.pointer(counts));
  if (smaller === null) throw instance.outOfMemory(bytes, "parameters");
  return smaller;
}

/** Makes the first model, and takes from it the heads that the configuration does not have. */
export function makeTransformer(instance: Instance, config: ResolvedTransformerConfig): Transformer {
  const bytes = transformerBytes({ ...config, heads: config.heads.map(() => allHeads(config)) });
  if (bytes >= 2 ** 32) throw instance.outOfMemory(bytes, "parameters");
  const native = instance.engine.transformer(nativeTransformerConfig(config));
  if (native === null) throw instance.outOfMemory(bytes, "parameters");
  if (config.heads.every(({ length }) => length === config.numHeads)) return new Model(instance, native, config);
  try {
    return new Model(instance, keepHeads(instance, native, config.heads, bytes), config);
  } finally {
    native.delete();
  }
}

export function transformer(instance: Instance, configLike: TransformerConfig): Transformer {
  instance.checkAlive();
  return makeTransformer(instance, resolveTransformerConfig(configLike));
}
