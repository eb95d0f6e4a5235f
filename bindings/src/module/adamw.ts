/** The optimizer AdamW: the schedule and the clipping are here, what is done to every parameter is in the core. */
import { checkInteger, checkOptions, invalidOption, maxExtent } from "../base/checks.js";
import { net, seal } from "../base/disposable.js";
import { HeadwiseError } from "../base/errors.js";
import type { Instance } from "../runtime/instance.js";
import type { NativeTrained } from "../runtime/native.js";
import { freeingMoments, trained, type Moments, type State, type Trained } from "./trained.js";
import type { AdamW, AdamWOptions, MultiHeadAttention, StepResult, Trainable } from "./types.js";

/** What takes part in a step. */
interface Part {
  readonly of: Trained;
  readonly native: NativeTrained;
  readonly state: State;
}

function checkNumber(value: unknown, name: string, expected: string, good: (x: number) => boolean): number {
  if (typeof value !== "number" || !Number.isFinite(Math.fround(value)) || !good(value))
    throw invalidOption(name, expected, value);
  return value;
}

const notNegative = (value: unknown, name: string) => checkNumber(value, name, "a number >= 0", (x) => x >= 0);
const positive = (value: unknown, name: string) =>
  checkNumber(value, name, "a float32 number > 0", (x) => Math.fround(x) > 0);

export function checkAdamWOptions(optionsLike: AdamWOptions) {
  const given = checkOptions(optionsLike, "adamW", [
    "lr",
    "betas",
    "eps",
    "weightDecay",
    "clipNorm",
    "warmupSteps",
    "totalSteps",
  ]);
  const { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01, clipNorm, warmupSteps = 0, totalSteps } = given;
  if (!Array.isArray(betas) || betas.length !== 2) throw invalidOption("betas", "two numbers", betas);
  const below1 = (value: unknown) =>
    checkNumber(value, "betas", "numbers from 0 to below 1", (x) => x >= 0 && Math.fround(x) < 1);
  const warmup = checkInteger(warmupSteps, "warmupSteps", 0, maxExtent);
  return {
    lr: notNegative(given.lr, "lr"),
    betas: [below1(betas[0]), below1(betas[1])] as const,
    eps: positive(eps, "eps"),
    weightDecay: notNegative(weightDecay, "weightDecay"),
    clipNorm: clipNorm === undefined ? Infinity : positive(clipNorm, "clipNorm"),
    warmupSteps: warmup,
    totalSteps: totalSteps === undefined ? undefined : checkInteger(totalSteps, "totalSteps", warmup + 1, maxExtent),
  };
}

const stateName = "an optimizer's state";

export class Optimizer implements AdamW {
  declare [Symbol.dispose]: () => void;
  readonly instance: Instance;
  readonly #options: ReturnType<typeof checkAdamWOptions>;
  readonly #free: () => void;
  /** Where the moments are that belong to this optimizer. */
  readonly #moments = new Set<Moments>();
  readonly #key = {};
  #disposed = false;
  #steps = 0;
  #skippedSteps = 0;

  constructor(instance: Instance, options: AdamWOptions) {
    instance.checkAlive();
    this.instance = instance;
    this.#options = checkAdamWOptions(options);
    this.#free = freeingMoments(instance, this.#key, this.#moments);
    seal(this, this.#free);
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
    this.#alive();
    return this.apply(this.prepare(modules));
  }

  /** Checks the modules, and makes all the room that a step with them takes. */
  prepare(modules: unknown): Part[] {
    this.#alive();
    if (!Array.isArray(modules)) throw invalidOption("modules", "an array of modules and transformers", modules);
    const list = Array.from(modules as unknown[]);
    const parts = list.map((module, n) => {
      const of = trained.get(module as object);
      if (of === undefined) throw invalidOption(`modules[${n}]`, "a module or a transformer", module);
      if (of.instance !== this.instance)
        throw new HeadwiseError("invalid-option", `modules[${n}]: it belongs to another Headwise instance`);
      if (list.indexOf(module) < n || (of.owner !== undefined && list.includes(of.owner)))
        throw new HeadwiseError("invalid-option", `modules[${n}]: it is given twice, by itself or in its transformer`);
      return { of, native: of.alive(), bytes: 8 * (module as MultiHeadAttention).parameterCount };
    });
    return parts.map(({ of, native, bytes }) => {
      const state = of.moments.get(this.#key) ?? this.#makeState(native, bytes);
      of.moments.set(this.#key, state);
      this.#moments.add(of.moments);
      this.instance.check(native.enableGradients(), bytes, stateName);
      return { of, native, state };
    });
  }

  /** The step, with what `prepare` has returned. */
  apply(parts: readonly Part[]): StepResult {
    const { betas, eps, weightDecay, clipNorm } = this.#options;
    const gradientNorm = Math.sqrt(parts.reduce((sum, { native }) => sum + native.sumOfSquares(), 0));
    const learningRate = this.#learningRate();
    // The core squares scaled gradients as float32. NaN and infinities would stay in the moments for good.
    const largest = Math.fround(Math.min(gradientNorm, clipNorm) ** 2);
    const skipped = !Number.isFinite(gradientNorm) || !Number.isFinite(largest);
    if (skipped) {
      ++this.#skippedSteps;
      return { gradientNorm, learningRate, skipped };
    }
    for (const { of, native, state } of parts) {
      ++state.steps; // its own: a module may join later than others
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
    if (moments === null) throw this.instance.outOfMemory(bytes, stateName);
    return { native: moments, steps: 0 };
  }

  #alive(): void {
    this.instance.checkAlive();
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
