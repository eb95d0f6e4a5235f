/** The optimizer AdamW. The schedule and the clipping are here; the update of each parameter is in the core. */
import { checkInteger, float32, float64, integer, invalidOption, maxExtent, readList } from "../base/checks.js";
import { net, seal } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import { isObject } from "../base/kinds.js";
import { optional, readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Instance } from "../runtime/instance.js";
import type { NativeTrained } from "../runtime/native.js";
import { freeingMoments, trained, type Moments, type State, type Trained } from "./trained.js";
import type { AdamW, AdamWOptions, MultiHeadAttention, StepResult, Trainable } from "./types.js";

/** A module or transformer in a step. */
interface Part {
  readonly of: Trained;
  readonly native: NativeTrained;
  readonly state: State;
}

const checkBeta = float32(">= 0 and < 1");

function checkBetas(value: unknown, name: string): readonly [number, number] {
  const betas = readList(value, name, "two numbers");
  if (betas.length !== 2) throw invalidOption(name, "two numbers", betas);
  return [checkBeta(betas[0], name), checkBeta(betas[1], name)];
}

const optionTable = {
  lr: float32(">= 0"),
  betas: withDefault(checkBetas, [0.9, 0.999]),
  eps: withDefault(float32("> 0"), 1e-8),
  weightDecay: withDefault(float32(">= 0"), 0.01),
  clipNorm: optional(float64("> 0")),
  warmupSteps: withDefault(integer(0), 0),
  totalSteps: optional(integer(1)),
} satisfies OptionTable<AdamWOptions>;

/** Checks the options. The result is valid as options, too. `prefix`: of the options' names in messages. */
export function checkAdamWOptions(optionsLike: unknown, name = "adamW", prefix = "") {
  const options = readOptions(optionsLike, name, optionTable, prefix);
  const { warmupSteps, totalSteps } = options;
  if (totalSteps !== undefined) checkInteger(totalSteps, `${prefix}totalSteps`, warmupSteps + 1, maxExtent);
  return options;
}

const stateName = "an optimizer's state";

export class Optimizer implements AdamW {
  declare [Symbol.dispose]: () => void;
  readonly #instance: Instance;
  readonly #options: ReturnType<typeof checkAdamWOptions>;
  readonly #free: () => void;
  /** The maps of all modules that have moments of this optimizer. */
  readonly #moments = new Set<Moments>();
  readonly #key = {};
  #disposed = false;
  #steps = 0;
  #skippedSteps = 0;

  constructor(instance: Instance, options: AdamWOptions) {
    this.#options = checkAdamWOptions(options);
    instance.checkAlive();
    this.#instance = instance;
    this.#free = freeingMoments(instance, this.#key, this.#moments);
    seal(this, this.#free);
  }

  /** Not by `instanceof`: objects may inherit from an optimizer and be none. */
  static check(this: void, value: unknown, name: string): Optimizer {
    if (isObject(value) && #options in value) return value as unknown as Optimizer;
    throw invalidOption(name, "an optimizer made by adamW()", value);
  }

  get steps(): number {
    this.#alive();
    return this.#steps;
  }

  get skippedSteps(): number {
    this.#alive();
    return this.#skippedSteps;
  }

  step(modules: readonly Trainable[]): StepResult {
    return this.apply(this.prepare(modules));
  }

  /** Checks the modules and allocates all memory of a step. */
  prepare(modules: unknown): Part[] {
    const list = readList(modules, "modules", "an array of modules and transformers");
    this.#alive();
    const parts = list.map((module, n) => {
      const of = trained.get(module as object);
      if (of === undefined) throw invalidOption(`modules[${n}]`, "a module or a transformer", module);
      if (of.handle.instance !== this.#instance)
        throw new HeadwiseError("invalid-option", `modules[${n}]: it belongs to another Headwise instance`);
      if (list.indexOf(module) < n || (of.owner !== undefined && list.includes(of.owner)))
        throw new HeadwiseError(
          "invalid-option",
          `modules[${n}]: it is given twice, directly or as part of its transformer`,
        );
      return { of, native: of.handle.alive(), bytes: 8 * (module as MultiHeadAttention).parameterCount };
    });
    return parts.map(({ of, native, bytes }) => {
      const state = of.moments.get(this.#key) ?? this.#makeState(native, bytes);
      of.moments.set(this.#key, state);
      this.#moments.add(of.moments);
      this.#instance.check(native.enableGradients(), bytes, stateName);
      return { of, native, state };
    });
  }

  /** Does the step with the result of `prepare`. */
  apply(parts: readonly Part[]): StepResult {
    const { betas, eps, weightDecay, clipNorm = Infinity } = this.#options;
    const gradientNorm = Math.sqrt(parts.reduce((sum, { native }) => sum + native.sumOfSquares(), 0));
    const learningRate = this.#learningRate();
    // The core squares scaled gradients in float32. NaN and infinities would stay in the moments.
    const largest = Math.fround(Math.min(gradientNorm, clipNorm) ** 2);
    const skipped = !Number.isFinite(gradientNorm) || !Number.isFinite(largest);
    if (skipped) {
      ++this.#skippedSteps;
      return { gradientNorm, learningRate, skipped };
    }
    for (const { of, native, state } of parts) {
      ++state.steps; // of this module, which may have joined later than others
      native.update(state.native, {
        learningRate,
        beta1: betas[0],
        beta2: betas[1],
        epsilon: eps,
        weightDecay,
        correction1: 1 - betas[0] ** state.steps,
        correction2: 1 - betas[1] ** state.steps,
        gradientScale: gradientNorm > clipNorm ? clipNorm / gradientNorm : 1,
      });
      of.changed();
    }
    ++this.#steps;
    return { gradientNorm, learningRate, skipped };
  }

  dispose(): void {
    this.#disposed = true;
    net.unregister(this);
    this.#free();
  }

  #makeState(native: NativeTrained, bytes: number): State {
    const moments = native.moments();
    if (moments === null) throw this.#instance.outOfMemory(bytes, stateName);
    return { native: moments, steps: 0 };
  }

  #alive(): void {
    this.#instance.checkAlive();
    if (this.#disposed) throw new HeadwiseError("disposed", "optimizer: it was disposed");
  }

  #learningRate(): number {
    const { lr, warmupSteps, totalSteps } = this.#options;
    if (this.#steps < warmupSteps) return (lr * (this.#steps + 1)) / warmupSteps;
    if (totalSteps === undefined) return lr;
    const done = Math.min((this.#steps - warmupSteps) / (totalSteps - warmupSteps), 1);
    return (lr * (1 + Math.cos(Math.PI * done))) / 2;
  }
}
