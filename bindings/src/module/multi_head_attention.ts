import { weightsStages } from "../attention/attention.js";
import {
  checkArray,
  checkGates,
  checkHeadList,
  checkOneOf,
  checkOptions,
  invalidOption,
  invalidShape,
} from "../base/checks.js";
import { net, seal } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { Staging, type Instance } from "../runtime/instance.js";
import { Cache, makeCache } from "./kv_cache.js";
import { parametersOf, prunedConfig, resolveConfig, type Parameter } from "./config.js";
import type { NativeConfig, NativeModule } from "../runtime/native.js";
import { readParameters, writeParameters } from "./parameters.js";
import { checkTensor, isTensorLike, product, refuseOtherShape } from "../base/tensor.js";
import { freeingTrained, trained, type Moments } from "./trained.js";
import { backward, checkTraining, type Tape } from "./training.js";
import type {
  BackwardOptions,
  ForwardOptions,
  ForwardResult,
  InputGradients,
  KvCache,
  MultiHeadAttention,
  MultiHeadAttentionConfig,
  Parameters,
  ResolvedConfig,
} from "./types.js";
import type { Tensor, TensorLike } from "../base/types.js";
import { checkVisibility, visibilityArgument, visibilityOptionNames } from "../attention/visibility.js";

const forwardOptionNames = [
  ...visibilityOptionNames,
  ...(["cache", "positions", "train", "dropout", "seed", "return"] as const),
];
export const headOutputs = { values: 1, contributions: 2 } as const; // numbers of the core's HeadOutput

/** What there is to free of a module that is part of a model. Not made by its constructor, whose closures would keep it alive. */
const nothing = () => {};

/** What a module is part of, and must not outlive. */
export interface Owner {
  /** Throws where it was disposed. */
  alive(): void;
  readonly model: object;
  /** Freed with it. */
  readonly moments: Moments;
}

export class Module implements MultiHeadAttention {
  declare [Symbol.dispose]: () => void;
  readonly config: ResolvedConfig;
  readonly numHeads: number;
  readonly parameterCount: number;
  readonly keptHeads: readonly number[];
  readonly #instance: Instance;
  readonly #parameters: readonly Parameter[];
  readonly #free: () => void;
  readonly #owner: Owner | undefined;
  #native: NativeModule | undefined;
  #tape: Tape | undefined; // of the last forward with train, until backward
  #trainForwards = 0;

  constructor(
    instance: Instance,
    native: NativeModule,
    config: ResolvedConfig,
    keptHeads: readonly number[],
    owner?: Owner,
  ) {
    this.#instance = instance;
    this.#native = native;
    this.#owner = owner;
    const slopes = () => Object.freeze(Array.from({ length: config.numHeads }, (_, h) => native.getSlope(h)));
    this.config = Object.freeze({ ...config, alibi: config.alibi && slopes() });
    this.numHeads = config.numHeads;
    this.keptHeads = Object.freeze([...keptHeads]);
    this.#parameters = parametersOf(config);
    this.parameterCount = this.#parameters.reduce((count, { shape }) => count + product(shape), 0);
    const moments: Moments = owner?.moments ?? new Map();
    this.#free = owner === undefined ? freeingTrained(instance, [native], [moments]) : nothing;
    trained.set(this, {
      instance,
      alive: () => this.#alive(),
      changed: () => void (this.#tape = undefined),
      owner: owner?.model,
      moments,
    });
    seal(this, this.#free);
  }

  get headGates(): Float32Array {
    const native = this.#alive();
    const staging = new Staging(this.#instance);
    const gates = staging.output(this.numHeads);
    staging.place();
    native.getGates(staging.pointer(gates));
    return staging.read(gates);
  }

  setHeadGates(gates: Float32Array): void {
    const native = this.#alive();
    const staging = new Staging(this.#instance);
    const slot = staging.input(checkGates(gates, "gates", this.numHeads));
    staging.place();
    native.setGates(staging.pointer(slot));
    this.#tape = undefined;
  }

  parameters(): Parameters {
    const native = this.#alive();
    return readParameters(this.#instance, this.#parameters, (index, to) => native.getParameter(index, to));
  }

  backward(gradOutput: TensorLike, options?: BackwardOptions): InputGradients {
    const gradients = backward(this.#instance, this.#alive(), this.#tape, gradOutput, options);
    this.#tape = undefined;
    return gradients;
  }

  gradients(): Parameters {
    const native = this.#alive();
    new Staging(this.#instance).check(native.enableGradients());
    const gates = { name: "head_gates", index: this.#parameters.length, shape: [this.numHeads] };
    return readParameters(this.#instance, [...this.#parameters, gates], (index, to) =>
      index === gates.index ? native.getGateGradient(to) : native.getGradient(index, to),
    );
  }

  zeroGradients(): void {
    this.#alive().zeroGradients();
  }

  setParameters(parameters: Readonly<Record<string, TensorLike>>): void {
    const native = this.#alive();
    writeParameters(this.#instance, this.#parameters, parameters, (index, from) => native.setParameter(index, from));
    this.#tape = undefined;
  }

  forward(queryLike: TensorLike, ...rest: (TensorLike | ForwardOptions | undefined)[]): ForwardResult {
    const native = this.#alive();
    const staging = new Staging(this.#instance);
    const { query, key, value, inputs, optionsLike } = this.#inputs(queryLike, rest);
    const options = checkOptions(optionsLike, "forward", forwardOptionNames);
    const training = checkTraining(options);
    const asked = checkOptions(options.return, "return", ["weights", "heads"]);
    if (asked.weights !== undefined) checkOneOf(asked.weights, "return.weights", weightsStages);
    if (asked.heads !== undefined) checkOneOf(asked.heads, "return.heads", ["values", "contributions"]);

    const { numHeads, outputDim, valueHeadDim } = this.config;
    const batched = query.shape.length === 3;
    const [batch, queries] = [batched ? query.shape[0]! : 1, query.shape.at(-2)!];
    const self = inputs === kSelf;
    const step = this.#step(native, options, batch, queries, self);
    const keys = step?.keys ?? key.shape.at(-2)!;
    const { mask, causal, window, offset, keyLengths, positions } = options;
    const visibility = checkVisibility(
      { mask, causal, window, offset: step?.before ?? offset, keyLengths: step?.after ?? keyLengths },
      [batch, numHeads, queries, keys],
      staging,
    );
    if (positions !== undefined && this.config.rope === undefined) {
      throw new HeadwiseError("invalid-option", "positions: only a module with rope has a use for them");
    }
    const leading = batched ? [batch] : [];
    const outputShape = [...leading, queries, outputDim];
    const weightsShape = [...leading, numHeads, queries, keys];
    const headsShape = [...leading, numHeads, queries, asked.heads === "values" ? valueHeadDim : outputDim];
    const slots = {
      query: staging.tensor(query),
      key: staging.tensor(key),
      value: staging.tensor(value),
      positions:
        positions === undefined
          ? undefined
          : staging.input(checkArray<Int32Array>(positions, "positions", "Int32Array", batch * queries)),
      output: staging.output(product(outputShape)),
      weights: asked.weights && staging.output(product(weightsShape)),
      heads: asked.heads && staging.output(product(headsShape)),
    };
    staging.place();
    const call = {
      batch,
      queries,
      keys,
      query: staging.pointer(slots.query),
      key: staging.pointer(slots.key),
      value: staging.pointer(slots.value),
      queryPositions: staging.pointer(slots.positions),
      keyPositions: self ? staging.pointer(slots.positions) : 0,
      inputs,
      output: staging.pointer(slots.output),
      weights: staging.pointer(slots.weights),
      weightsStage: weightsStages.indexOf(asked.weights ?? "probabilities"),
      headOutput: asked.heads === undefined ? 0 : headOutputs[asked.heads],
      heads: staging.pointer(slots.heads),
    };
    const seen = visibilityArgument(visibility, staging);
    if (training === undefined) staging.check(native.forward(call, step?.native ?? null, ...seen));
    else {
      staging.check(native.trainForward(call, training.dropout, training.seed ?? this.#trainForwards, ...seen));
      this.#tape = undefined; // the one before
    }
    const result = {
      output: { data: staging.read(slots.output), shape: outputShape },
      ...(slots.weights && { weights: { data: staging.read(slots.weights), shape: weightsShape } }),
      ...(slots.heads && { heads: { data: staging.read(slots.heads), shape: headsShape } }),
    };
    step?.commit(); // now that nothing can fail
    if (training !== undefined) {
      this.#tape = { output: outputShape, weights: weightsShape, inputs: [query.shape, key.shape, value.shape] };
      this.#trainForwards = (this.#trainForwards + 1) >>> 0;
    }
    return result;
  }

  prune(heads: readonly number[]): MultiHeadAttention {
    const native = this.#alive();
    const staging = new Staging(this.#instance);
    const removed = checkHeadList(heads, "prune", this.numHeads);
    const kept = Array.from({ length: this.numHeads }, (_, h) => h).filter((h) => !removed.has(h));
    const slot = staging.input(Uint32Array.from(kept));
    staging.place();
    const smaller = native.keepHeads(staging.pointer(slot), kept.length);
    if (smaller === null) throw this.#instance.outOfMemory(4 * this.parameterCount, "parameters");
    const keptHeads = kept.map((h) => this.keptHeads[h]!);
    return new Module(this.#instance, smaller, prunedConfig(this.config, kept), keptHeads);
  }

  cache(options: { batch: number; capacity: number }): KvCache {
    return makeCache(this.#instance, this.#alive(), this.config, options);
  }

  dispose(): void {
    if (this.#owner !== undefined) return; // with its model
    this.#native = undefined;
    net.unregister(this);
    this.#free();
  }

  #alive(): NativeModule {
    this.#instance.checkAlive();
    this.#owner?.alive();
    if (this.#native === undefined) throw new HeadwiseError("disposed", "this module was disposed");
    return this.#native;
  }

  /** What the call means for its cache, if it has one. */
  #step(native: NativeModule, options: ForwardOptions, batch: number, tokens: number, self: boolean) {
    const { cache, offset, keyLengths } = options;
    if (cache === undefined) return undefined;
    if (!(cache instanceof Cache)) throw invalidOption("cache", "what the module's cache() has made", cache);
    if (!self) throw new HeadwiseError("invalid-option", "cache: for self-attention only, forward(query, options)");
    if (offset !== undefined)
      throw new HeadwiseError("invalid-option", "offset: with a cache it is the cache's length");
    return cache.append(native, batch, tokens, keyLengths);
  }

  /** Sorts out forward's three ways to be called, and checks the shapes against the configuration. */
  #inputs(queryLike: TensorLike, rest: (TensorLike | ForwardOptions | undefined)[]) {
    const args = [queryLike, ...rest];
    const dropUndefined = () => {
      while (args.length > 1 && args.at(-1) === undefined) args.pop();
    };
    dropUndefined();
    const optionsLike = args.length > 1 && !isTensorLike(args.at(-1)) ? (args.pop() as ForwardOptions) : undefined;
    dropUndefined();
    if (args.length > 3) {
      throw new HeadwiseError(
        "invalid-option",
        "forward: expected (query), (query, memory) or (query, key, value), then options",
      );
    }
    const names = [
      ["query", "query (as key)", "query (as value)"],
      ["query", "memory", "memory (as value)"],
      ["query", "key", "value"],
    ][args.length - 1]!;
    const [query, key = query!, value = key!] = args.map((t, n) => checkTensor(t, names[n]!)) as [
      Tensor,
      Tensor?,
      Tensor?,
    ];
    const { embedDim, keyDim, valueDim } = this.config;
    const rank = query.shape.length;
    if (rank !== 2 && rank !== 3) throw invalidShape("query", `[B, L, ${embedDim}] or [L, ${embedDim}]`, query.shape);
    const leading = query.shape.slice(0, -2);
    const keys = key.shape.at(-2) ?? 1;
    const expected = [
      [...leading, query.shape.at(-2)!, embedDim],
      [...leading, keys, keyDim],
      [...leading, keys, valueDim],
    ];
    for (const [n, t] of [query, key, value].entries()) refuseOtherShape(t, names[n]!, expected[n]!);
    // Said once, here: what follows asks no more whether inputs are the same.
    const inputs = isSame(key, query) && isSame(value, query) ? kSelf : isSame(value, key) ? kMemory : kAll;
    return { query, key, value, inputs, optionsLike };
  }
}

/** The core's Inputs: self-attention; keys and values of one memory; all three. */
const [kSelf, kMemory, kAll] = [0, 1, 2] as const;

const isSame = (a: Tensor, b: Tensor) => a === b || (a.data === b.data && String(a.shape) === String(b.shape));

function nativeConfig({ rope, headGroups: _, ...config }: ResolvedConfig): NativeConfig {
  return {
    ...config,
    alibi: config.alibi !== false,
    qkvBias: config.bias !== false,
    outBias: config.bias === true,
    ropeDim: rope?.dim ?? 0,
    ropeBase: rope?.base ?? 0,
    ropeInterleaved: rope?.interleaved ?? false,
  };
}

export function multiHeadAttention(instance: Instance, configLike: MultiHeadAttentionConfig): MultiHeadAttention {
  instance.checkAlive();
  const config = resolveConfig(configLike);
  const bytes = 4 * parametersOf(config).reduce((count, { shape }) => count + product(shape), 0);
  // The core counts in 32 bits; what does not fit there is refused here.
  if (bytes >= 2 ** 32) throw instance.outOfMemory(bytes, "parameters");
  const staging = new Staging(instance);
  const kvHeads = config.headGroups && staging.input(Uint32Array.from(config.headGroups));
  if (kvHeads) staging.place();
  const native = instance.engine.multiHeadAttention(nativeConfig(config), staging.pointer(kvHeads), config.seed);
  if (native === null) throw instance.outOfMemory(bytes, "parameters");
  if (Array.isArray(config.alibi)) config.alibi.forEach((slope: number, h) => native.setSlope(h, slope));
  return new Module(
    instance,
    native,
    config,
    Array.from({ length: config.numHeads }, (_, h) => h),
  );
}
