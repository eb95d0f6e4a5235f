/**
 * One head count in training. It has a library of its own on one thread, so that head counts train side by side on all
 * cores. A slice of training is some steps and then a look: the page gets the word in between. No DOM in here.
 */
import type { Tensor, WorkerAdamW, WorkerHeadwise, WorkerTransformer } from "headwise";
import { load } from "headwise/worker";
import { answersIn, probeTokens, questionMaps, task } from "./probe";
import { randomNumbers } from "./random.mjs";
import { testBatch, twoRelationsModel, twoRelationsTraining } from "./two_relations.mjs";

export const STEPS = twoRelationsTraining.steps;
/** Steps between two points of the curves. */
export const SLICE = 25;
/** Examples that loss and accuracy are measured on; training never sees their order of random numbers. */
const EXAMPLES = 512;

/** On the test examples, after `step` steps. */
export interface Point {
  readonly step: number;
  readonly loss: number;
  /** Share of right answers, 0 … 1. */
  readonly accuracy: number;
}

/** What the heads do with the questions of the probe. */
export interface Look {
  /** Of each head [Q, L]: the question's attention over the sequence. */
  readonly maps: readonly Tensor[];
  /** The model's answer to each question. */
  readonly answers: readonly (number | null)[];
}

export class Lane {
  step = 0;
  readonly #below: (n: number) => number;
  readonly #test = testBatch(task, EXAMPLES);

  private constructor(
    private readonly hw: WorkerHeadwise,
    private readonly model: WorkerTransformer,
    private readonly optimizer: WorkerAdamW,
    seed: number,
  ) {
    this.#below = randomNumbers(1000 + seed); // the same examples for every head count
  }

  static async start(numHeads: number, seed: number): Promise<Lane> {
    const hw = await load({ threads: 1 });
    try {
      const model = await hw.transformer(twoRelationsModel(task, { numHeads, seed }));
      const optimizer = await hw.adamW(twoRelationsTraining.optimizer(twoRelationsTraining.learningRate(numHeads)));
      return new Lane(hw, model, optimizer, seed);
    } catch (error) {
      await hw.dispose();
      throw error;
    }
  }

  get parameterCount(): number {
    return this.model.parameterCount;
  }

  get done(): boolean {
    return this.step >= STEPS;
  }

  /** Loss and accuracy as the model is now. */
  async measure(): Promise<Point> {
    const { loss, accuracy } = await this.model.evaluate(this.#test.tokens, this.#test.targets);
    return { step: this.step, loss, accuracy };
  }

  /** What the heads look at now, on pairs with these values. */
  async look(valueOfKey: readonly number[]): Promise<Look> {
    const capture = { weights: "probabilities" } as const;
    const { logits, layers } = await this.model.forward(probeTokens(valueOfKey), { capture });
    return { maps: questionMaps(layers[0].weights!), answers: answersIn(logits!) };
  }

  /** Trains for a slice. Calls run in order in the worker, which need not wait for the page in between. */
  async advance(): Promise<void> {
    const steps = Math.min(SLICE, STEPS - this.step);
    const calls = Array.from({ length: steps }, () => {
      const { tokens, targets } = task.batch(this.#below, twoRelationsTraining.batch);
      return this.model.trainStep(tokens, targets, this.optimizer);
    });
    this.step += steps;
    await Promise.all(calls);
  }

  dispose(): Promise<void> {
    return this.hw.dispose();
  }
}
