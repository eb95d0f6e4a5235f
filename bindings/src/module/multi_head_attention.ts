import { weightsStages } from "../attention/attention.js";
import { fitVisibility, visibilityArgument, visibilityTable } from "../attention/visibility.js";
import {
  checkBoolean,
  checkGates,
  checkHeadList,
  checkInt32Array,
  float32,
  oneOf,
  refuseOtherLength,
  seed,
} from "../base/checks.js";
import { net, seal } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { group, optional, readOptions, withDefault, type Checked, type OptionTable } from "../base/options.js";
import { product } from "../base/tensor.js";
import type { TensorLike } from "../base/types.js";
import { Handle, type Instance } from "../runtime/instance.js";
import type { NativeModule } from "../runtime/native.js";
import { Cache, makeCache } from "./kv_cache.js";
import { scaledFrequencies } from "../attention/rope_scaling.js";
import { nativeConfig, parametersOf, prunedConfig, resolveConfig, type Parameter } from "./config.js";
import { forwardInputs, kSelf } from "./inputs.js";
import { readParameters, writeParameters } from "./parameters.js";
import { freeingTrained, trained, type Moments } from "./trained.js";
import { backward, fitTraining, type Tape } from "./training.js";
import type {
  BackwardOptions,
  ForwardOptions,
  ForwardResult,
  ForwardReturn,
  InputGradients,
  KvCache,
  MultiHeadAttention,
  MultiHeadAttentionConfig,
  Parameters,
  ResolvedConfig,
} from "./types.js";

/** In the order of the core's HeadOutput, whose first value is "none". */
const headOutputs = ["values", "contributions"] as const;
export const numberOfHeadOutput = (asked: (typeof headOutputs)[number] | undefined) =>
  asked === undefined ? 0 : headOutputs.indexOf(asked) + 1;

/** What `forward` returns in addition to its output. Also for transformers. */
export const returnTable = {
  weights: optional(oneOf(weightsStages)),
  heads: optional(oneOf(headOutputs)),
} satisfies OptionTable<ForwardReturn>;

const forwardTable = {
  ...visibilityTable,
  cache: optional(Cache.check),
  positions: optional(checkInt32Array),
  train: withDefault(checkBoolean, false),
  dropout: optional(float32(">= 0 and < 1")),
  seed: optional(seed),
  return: group(returnTable),
} satisfies OptionTable<ForwardOptions>;

/** What there is to free of a module that is part of a model. Not made by its constructor, whose closures would keep it alive. */
const nothing = () => {};

/** What a module is part of, and must not outlive. */
export interface Owner {
  readonly handle: Handle<object>;
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
  readonly #parameters: readonly Parameter[];
  readonly #free: () => void;
  readonly #owner: Owner | undefined;
  readonly #handle: Handle<NativeModule>;
  #tape: Tape | undefined; // of the last forward with train, until backward
  #trainForwards = 0;

  constructor(
    instance: Instance,
    native: NativeModule,
    config: ResolvedConfig,
    keptHeads: readonly number[],
    owner?: Owner,
  ) {
    this.#handle = new Handle(instance, native, "module", owner?.handle);
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
      handle: this.#handle,
      changed: () => void (this.#tape = undefined),
      owner: owner?.model,
      moments,
    });
    seal(this, this.#free);
  }

  get headGates(): Float32Array {
    return this.#handle.call({}, { gates: [this.numHeads] }, (native, staged) => {
      native.getGates(staged.pointers.gates);
      return staged.results("gates").gates.data;
    });
  }

  setHeadGates(gatesLike: Float32Array): void {
    const gates = checkGates(gatesLike, "gates");
    refuseOtherLength(gates, "gates", this.numHeads);
    this.#handle.call({ gates }, {}, (native, { pointers }) => native.setGates(pointers.gates));
    this.#tape = undefined;
  }

  parameters(): Parameters {
    return readParameters(this.#handle, this.#parameters, (native, index, to) => native.getParameter(index, to));
  }

  backward(gradOutput: TensorLike, options?: BackwardOptions): InputGradients {
    const gradients = backward(this.#handle, () => this.#tape, gradOutput, options);
    this.#tape = undefined;
    return gradients;
  }

  gradients(): Parameters {
    this.#handle.call({}, {}, (native, staged) => staged.check(native.enableGradients()));
    const gates = { name: "head_gates", index: this.#parameters.length, shape: [this.numHeads] };
    return readParameters(this.#handle, [...this.#parameters, gates], (native, index, to) =>
      index === gates.index ? native.getGateGradient(to) : native.getGradient(index, to),
    );
  }

  zeroGradients(): void {
    this.#handle.alive().zeroGradients();
  }

  setParameters(parameters: Readonly<Record<string, TensorLike>>): void {
    writeParameters(this.#handle, this.#parameters, parameters, this.config.dtype, (native, index, from) =>
      native.setParameter(index, from),
    );
    this.#tape = undefined;
  }

  forward(queryLike: TensorLike, ...rest: (TensorLike | ForwardOptions | undefined)[]): ForwardResult {
    const { query, key, value, inputs, optionsLike } = forwardInputs(this.config, [queryLike, ...rest]);
    const options = readOptions(optionsLike, "forward", forwardTable);
    const { offset, keyLengths, positions, return: asked } = options;
    const training = fitTraining(options);
    const { numHeads, outputDim, valueHeadDim } = this.config;
    const batched = query.shape.length === 3;
    const [batch, queries] = [batched ? query.shape[0]! : 1, query.shape.at(-2)!];
    const self = inputs === kSelf;
    const step = this.#step(options, batch, queries, self);
    const keys = step?.keys ?? key.shape.at(-2)!;
    const visibility = fitVisibility(
      { ...options, offset: step?.before ?? offset, keyLengths: step?.after ?? keyLengths },
      [batch, numHeads, queries, keys],
    );
    if (positions !== undefined && this.config.rope === undefined)
      throw new HeadwiseError("invalid-option", "positions: only for a module with rope");
    if (positions) refuseOtherLength(positions, "positions", batch * queries);
    const leading = batched ? [batch] : [];
    const output = [...leading, queries, outputDim];
    const weights = [...leading, numHeads, queries, keys];
    const result = this.#handle.call(
      {
        ...{ query, key, value, queryPositions: positions, keyPositions: self ? positions : undefined },
        ...visibility.inputs,
      },
      {
        output,
        weights: asked.weights && weights,
        heads: asked.heads && [...leading, numHeads, queries, asked.heads === "values" ? valueHeadDim : outputDim],
      },
      (native, staged) => {
        const weightsStage = weightsStages.indexOf(asked.weights ?? "probabilities");
        const headOutput = numberOfHeadOutput(asked.heads);
        // The core's fields for scalar options have the options' names.
        const call = { ...options, batch, queries, keys, inputs, weightsStage, headOutput, ...staged.pointers };
        const seen = visibilityArgument(visibility, staged.pointers);
        if (training === undefined) staged.check(native.forward(call, step?.native ?? null, ...seen));
        else {
          staged.check(native.trainForward(call, training.dropout, training.seed ?? this.#trainForwards, ...seen));
          this.#tape = undefined; // of the previous forward
        }
        return staged.results("output", "weights", "heads");
      },
    );
    step?.commit(); // now that nothing can fail
    if (training !== undefined) {
      this.#tape = { output, weights, inputs: { query: query.shape, key: key.shape, value: value.shape } };
      this.#trainForwards = (this.#trainForwards + 1) >>> 0;
    }
    return result;
  }

  prune(heads: readonly number[]): MultiHeadAttention {
    const removed = checkHeadList(heads, "prune", this.numHeads);
    const kept = Array.from({ length: this.numHeads }, (_, h) => h).filter((h) => !removed.has(h));
    const smaller = this.#handle.call({ heads: Uint32Array.from(kept) }, {}, (native, { pointers }) =>
      native.keepHeads(pointers.heads, kept.length),
    );
    const { instance } = this.#handle;
    if (smaller === null) throw instance.outOfMemory(4 * this.parameterCount, "parameters");
    const keptHeads = kept.map((h) => this.keptHeads[h]!);
    return new Module(instance, smaller, prunedConfig(this.config, kept), keptHeads);
  }

  cache(options: { batch: number; capacity: number }): KvCache {
    return makeCache(this.#handle, this.config, options);
  }

  dispose(): void {
    if (this.#owner !== undefined) return; // its model disposes of it
    this.#handle.end();
    net.unregister(this);
    this.#free();
  }

  /** Prepares the call's cache, if it has one. */
  #step({ cache, offset, keyLengths }: Checked<typeof forwardTable>, batch: number, tokens: number, self: boolean) {
    if (cache === undefined) return undefined;
    if (!self) throw new HeadwiseError("invalid-option", "cache: for self-attention only, forward(query, options)");
    if (offset !== undefined)
      throw new HeadwiseError("invalid-option", "offset: not with a cache, whose length is the offset");
    return cache.append(this.#handle, batch, tokens, keyLengths);
  }
}

export function multiHeadAttention(instance: Instance, configLike: MultiHeadAttentionConfig): MultiHeadAttention {
  const config = resolveConfig(configLike);
  const bytes = 4 * parametersOf(config).reduce((count, { shape }) => count + product(shape), 0);
  instance.checkAlive();
  // The core counts in 32 bits, so larger sizes are refused here.
  if (bytes >= 2 ** 32) throw instance.outOfMemory(bytes, "parameters");
  const kvHeads = config.headGroups && Uint32Array.from(config.headGroups);
  const { rope } = config;
  const frequencies = rope?.scaling && scaledFrequencies({ ...rope, scaling: rope.scaling }, 0).frequencies;
  const native = instance.engine.call({ kvHeads, frequencies }, {}, (engine, { pointers }) =>
    engine.multiHeadAttention(nativeConfig(config), pointers.kvHeads, pointers.frequencies, config.seed),
  );
  if (native === null) throw instance.outOfMemory(bytes, "parameters");
  if (Array.isArray(config.alibi)) config.alibi.forEach((slope: number, h) => native.setSlope(h, slope));
  return new Module(
    instance,
    native,
    config,
    Array.from({ length: config.numHeads }, (_, h) => h),
  );
}
