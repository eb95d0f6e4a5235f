import { checkHeadList, checkInteger, invalidOption, oneOf } from "../base/checks.js";
import { net, seal } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { isObject } from "../base/kinds.js";
import { readMembers, readOptions, type OptionTable } from "../base/options.js";
import { product } from "../base/tensor.js";
import type { Bytes, TensorLike, Tokens } from "../base/types.js";
import { Optimizer } from "../module/adamw.js";
import type { Parameter } from "../module/config.js";
import { Module } from "../module/multi_head_attention.js";
import { readParameters, writeParameters } from "../module/parameters.js";
import { freeingTrained, trained, type Moments } from "../module/trained.js";
import type { AdamW, MultiHeadAttention, Parameters } from "../module/types.js";
import { Handle, type Instance } from "../runtime/instance.js";
import { dtypes, type BatchCall, type Engine, type LossResult, type NativeModel } from "../runtime/native.js";
import { callModel } from "./call.js";
import { allHeads, attentionConfig, resolveTransformerConfig } from "./config.js";
import { forward } from "./forward.js";
import { checkGenerate, generate } from "./generate.js";
import { copyParameters } from "./raw_parameters.js";
import { saveTransformer } from "./save.js";
import { checkInput, checkTargets, inputTable, readInput, type CheckedInput } from "./input.js";
import {
  frequencyTable,
  layerFrequencies,
  nativeLayers,
  nativeTransformerConfig,
  transformerBytes,
  transformerParameters,
} from "./native_config.js";
import { refuseTooLarge } from "./tokens.js";
import type {
  AnyTransformer,
  ConvertOptions,
  Evaluation,
  GenerateOptions,
  GroupHeadsOptions,
  InputOptions,
  ModelInput,
  ResolvedTransformerConfig,
  SaveOptions,
  Transformer,
  TransformerConfig,
  TransformerOptions,
  TransformerResult,
} from "./types.js";

const convertTable = { dtype: oneOf(dtypes) } satisfies OptionTable<ConvertOptions>;

/** A transformer, however it is saved. */
export abstract class Model implements AnyTransformer {
  declare [Symbol.dispose]: () => void;
  readonly config: ResolvedTransformerConfig;
  readonly parameterCount: number;
  readonly #handle: Handle<NativeModel>;
  readonly #parameters: readonly Parameter[];
  readonly #attentions: readonly MultiHeadAttention[];
  readonly #free: () => void;

  constructor(instance: Instance, native: NativeModel, config: ResolvedTransformerConfig) {
    this.#handle = new Handle(instance, native, "transformer");
    this.config = Object.freeze(config);
    this.#parameters = transformerParameters(config);
    this.parameterCount = this.#parameters.reduce((count, { shape }) => count + product(shape), 0);
    const layers = config.heads.map((_, n) => native.attention(n)!);
    const moments: Moments[] = [new Map(), ...layers.map(() => new Map())];
    this.#attentions = layers.map((layer, n) => {
      const owner = { model: this, handle: this.#handle, moments: moments[n + 1]! };
      return new Module(instance, layer, attentionConfig(config, n), config.heads[n]!, owner);
    });
    this.#free = freeingTrained(instance, [...layers, native], moments);
    trained.set(this, {
      handle: this.#handle,
      changed: () => this.#attentions.forEach((attention) => trained.get(attention)!.changed()),
      owner: undefined,
      moments: moments[0]!,
    });
    seal(this, this.#free);
  }

  /** Not by `instanceof`: objects may inherit from a transformer and be none. */
  static is(value: unknown): value is Model {
    return isObject(value) && #handle in value;
  }

  forward(input: ModelInput, options?: TransformerOptions): TransformerResult {
    return forward(this.#handle, this.config, input, options);
  }

  accumulateGradients(input: ModelInput, targets: Tokens, options?: InputOptions): number {
    const batch = this.#checkBatch(input, targets, options);
    return this.#withBatch(batch, (native, call) => native.accumulate(call, false)).loss;
  }

  /** Gradients of the gates alone, layer by layer, without dropout. Those of the parameters need no room, and what `gradients()` says stays. */
  measureGateGradients(inputLike: ModelInput, targetsLike: Tokens): Float32Array[] {
    const { input, targets } = this.#checkBatch(inputLike, targetsLike, undefined);
    const counts = this.config.heads.map(({ length }) => length);
    const all = [counts.reduce((sum, count) => sum + count, 0)];
    const { gates } = callModel(
      this.#handle,
      this.config,
      input,
      { targets },
      { gates: all },
      (native, call, staged) => {
        staged.check(native.gateGradients(call, staged.pointers.gates!));
        return staged.results("gates");
      },
    );
    let end = 0;
    return counts.map((count) => gates!.data.slice(end, (end += count)));
  }

  trainStep(input: ModelInput, targets: Tokens, optimizerLike: AdamW, options?: InputOptions): number {
    const optimizer = Optimizer.check(optimizerLike, "optimizer");
    const batch = this.#checkBatch(input, targets, options);
    const parts = optimizer.prepare([this]);
    const { loss } = this.#withBatch(batch, (native, call) => native.accumulate(call, true));
    optimizer.apply(parts);
    return loss;
  }

  evaluate(input: ModelInput, targets: Tokens, options?: InputOptions): Evaluation {
    const batch = this.#checkBatch(input, targets, options);
    const { loss, count, correct } = this.#withBatch(batch, (native, call) => native.evaluate(call));
    return { loss, accuracy: count === 0 ? 0 : correct / count, count };
  }

  generate(prompt: Tokens, options: GenerateOptions): Generator<number, void, void> {
    const checked = checkGenerate(prompt, options, this.config);
    this.#handle.alive();
    return generate(this.#handle, this.config, checked);
  }

  attention(layer: number): MultiHeadAttention {
    this.#handle.alive();
    return this.#attentions[checkInteger(layer, "layer", 0, this.config.layers - 1)]!;
  }

  parameters(): Parameters {
    return readParameters(this.#handle, this.#parameters, (native, index, to) => native.getParameter(index, to));
  }

  setParameters(parameters: Readonly<Record<string, TensorLike>>): void {
    writeParameters(this.#handle, this.#parameters, parameters, this.config.dtype, (native, index, from) =>
      native.setParameter(index, from),
    );
    trained.get(this)!.changed();
  }

  gradients(): Parameters {
    this.#enableGradients();
    const gradients = readParameters(this.#handle, this.#parameters, (native, index, to) =>
      native.getGradient(index, to),
    );
    return Object.assign(gradients, this.gateGradients());
  }

  /** The gradients of the gates alone, without copies of the others. */
  gateGradients(): Parameters {
    this.#handle.call({}, {}, (native, staged) => staged.check(native.enableGateGradients()));
    const gates = this.config.heads.map(({ length }, n) => ({
      name: `layers.${n}.attention.head_gates`,
      index: n,
      shape: [length],
    }));
    return readParameters(this.#handle, gates, (native, layer, to) => native.getGateGradient(layer, to));
  }

  zeroGradients(): void {
    this.#handle.alive().zeroGradients();
  }

  prune(headsLike: Readonly<Record<number, readonly number[]>>): Model {
    const { layers, heads } = this.config;
    const removed = new Map<number, Set<number>>();
    for (const [name, list] of readMembers(headsLike, "prune", "an object { layer: heads }")) {
      const layer = checkInteger(String(Number(name)) === name ? Number(name) : name, "prune, layer", 0, layers - 1);
      removed.set(layer, checkHeadList(list, `prune, layer ${layer}`, heads[layer]!.length));
    }
    const kept = heads.map((all, n) => Array.from(all, (_, h) => h).filter((h) => !removed.get(n)?.has(h)));
    const config = {
      ...this.config,
      heads: Object.freeze(kept.map((list, n) => Object.freeze(list.map((h) => heads[n]![h]!)))),
    };
    const { instance } = this.#handle;
    return this.derive(instance, keepHeads(this.#handle, kept, 4 * this.parameterCount), config);
  }

  convert(optionsLike: ConvertOptions): Model {
    const { dtype } = readOptions(optionsLike, "convert", convertTable);
    const copy = this.empty(Object.freeze({ ...this.config, dtype }));
    try {
      copyParameters(this.#handle, copy.#handle, this.#parameters, this.config.dtype === dtype);
      this.#attentions.forEach((attention, n) => copy.#attentions[n]!.setHeadGates(attention.headGates));
      return copy;
    } catch (error) {
      copy.dispose();
      throw error;
    }
  }

  /** A model of the same kind, whose parameters are zeros. */
  empty(config: ResolvedTransformerConfig): Model {
    const { instance } = this.#handle;
    return emptyTransformer(instance, config, (native) => this.derive(instance, native, config));
  }

  groupHeads(groups: number, options?: GroupHeadsOptions): Promise<this> {
    return this.#handle.instance.groupHeads(this, groups, options) as Promise<this>;
  }

  /** A model of the same kind. */
  protected abstract derive(instance: Instance, native: NativeModel, config: ResolvedTransformerConfig): Model;

  dispose(): void {
    this.#handle.end();
    net.unregister(this);
    this.#free();
  }

  /** Allocates the gradients as zeros if they do not exist yet. */
  #enableGradients(): void {
    this.#handle.call({}, {}, (native, staged) => staged.check(native.enableGradients()));
  }

  #checkBatch(inputLike: ModelInput, targetsLike: Tokens, optionsLike: InputOptions | undefined) {
    const rows = readInput(inputLike, this.config);
    const input = checkInput(rows, readOptions(optionsLike, "options", inputTable), this.config);
    if (input.grid) throw invalidOption("pixels", "images of the model's own size, where there are targets", inputLike);
    return { input, targets: checkTargets(targetsLike, input, this.config) };
  }

  /** Places a batch where the core reads it. */
  #withBatch(
    { input, targets }: { input: CheckedInput; targets: Int32Array },
    work: (native: NativeModel, call: BatchCall) => LossResult,
  ): LossResult {
    this.#handle.alive();
    refuseTooLarge(this.#handle.instance, input.batch * input.length * this.config.vocabSize);
    return callModel(this.#handle, this.config, input, { targets }, {}, (native, call, staged) => {
      const result = work(native, call);
      staged.check(result.status);
      return result;
    });
  }
}

/** A transformer that was made from its configuration. */
export class BuiltModel extends Model implements Transformer {
  override prune(heads: Readonly<Record<number, readonly number[]>>): BuiltModel {
    return super.prune(heads) as BuiltModel;
  }

  override convert(options: ConvertOptions): BuiltModel {
    return super.convert(options) as BuiltModel;
  }

  save(options?: SaveOptions): Bytes {
    return saveTransformer(this, options);
  }

  protected derive(instance: Instance, native: NativeModel, config: ResolvedTransformerConfig): BuiltModel {
    return new BuiltModel(instance, native, config);
  }
}

/** An argument that is to be a transformer of this instance. */
export function checkTransformer(value: unknown, instance: Instance): Model {
  if (!Model.is(value)) throw invalidOption("model", "a transformer", value);
  const { handle } = trained.get(value)!;
  if (handle.instance !== instance)
    throw new HeadwiseError("invalid-option", "model: it belongs to another Headwise instance");
  handle.alive();
  return value;
}

/** The heads of each layer as the core reads them. */
const listed = (heads: readonly (readonly number[])[]) => ({
  heads: Uint32Array.from(heads.flat()),
  counts: Uint32Array.from(heads, ({ length }) => length),
});

/** @param kept of each layer, indices of the native model's heads */
function keepHeads(handle: Handle<NativeModel>, kept: readonly (readonly number[])[], bytes: number): NativeModel {
  const smaller = handle.call(listed(kept), {}, (native, { pointers }) =>
    native.keepHeads(pointers.heads, pointers.counts),
  );
  if (smaller === null) throw handle.instance.outOfMemory(bytes, "parameters");
  return smaller;
}

/** Makes a native model. @param at where the layers, the table of their frequencies, and the heads lie */
function makeNative(
  instance: Instance,
  config: ResolvedTransformerConfig,
  make: (engine: Engine, at: Readonly<Record<string, number>>) => NativeModel | null,
): NativeModel {
  const bytes = transformerBytes(config);
  if (bytes >= 2 ** 32) throw instance.outOfMemory(bytes, "parameters");
  const inputs = { layers: nativeLayers(config), ...layerFrequencies(config, 0), ...listed(config.heads) };
  const native = instance.engine.call(inputs, { table: [config.layers] }, (engine, staged) => {
    staged.write("table", frequencyTable(config, staged.pointers));
    return make(engine, staged.pointers);
  });
  if (native === null) throw instance.outOfMemory(bytes, "parameters");
  return native;
}

/**
 * A model whose parameters are zeros. It takes the memory of the heads that it has, and not of the original model's.
 * `make`: makes the object of a native model.
 */
export function emptyTransformer<T = BuiltModel>(
  instance: Instance,
  config: ResolvedTransformerConfig,
  make: (native: NativeModel) => T = (native) => new BuiltModel(instance, native, config) as T,
): T {
  const native = makeNative(instance, config, (engine, at) =>
    engine.emptyTransformer(nativeTransformerConfig(config), at.layers!, at.table!, at.heads!, at.counts!),
  );
  return make(native);
}

/** Makes the original model from its seed, and removes the heads that the configuration does not have. */
export function transformer(instance: Instance, configLike: TransformerConfig): Transformer {
  const config = resolveTransformerConfig(configLike);
  const whole = { ...config, heads: config.heads.map(() => allHeads(config)) };
  const native = makeNative(instance, whole, (engine, at) =>
    engine.transformer(nativeTransformerConfig(config), at.layers!, at.table!),
  );
  const bytes = transformerBytes(whole);
  if (config.heads.every(({ length }) => length === config.numHeads)) return new BuiltModel(instance, native, config);
  try {
    return new BuiltModel(
      instance,
      keepHeads(new Handle(instance, native, "transformer"), config.heads, bytes),
      config,
    );
  } finally {
    native.delete();
  }
}
