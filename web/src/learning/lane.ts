/**
 * One head count in training. It has a library of its own on one thread, so that head counts train side by side on all
 * cores. A slice of training is some steps and then a look: the page gets the word in between. No DOM in here.
 */
import type { Tensor, WorkerAdamW, WorkerHeadwise, WorkerTransformer } from "headwise";
import { load } from "headwise/worker";
import { harder, letterTest, meanFollows, without, type Follows } from "./letters.mjs";
import { answersIn, probeTokens, questionMaps, task } from "./probe";
import { randomNumbers } from "./random.mjs";
import { twoRelationsModel, twoRelationsTraining } from "./two_relations.mjs";

export const STEPS = twoRelationsTraining.steps;
/** Steps between two points of the curves. */
const SLICE = 25;

const letters = letterTest(task, 8);

/** On the held-out examples, after `step` steps. */
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

/** How far the answers follow the two letters in question. */
export interface Letters {
  readonly all: Follows;
  /** Of each head: without it. */
  readonly off: readonly Follows[];
  /** Without one head, mean over heads and questions: the letter that suffers more, and the other. */
  readonly more: number;
  readonly less: number;
}

export class Lane {
  step = 0;
  readonly #below: (n: number) => number;
  readonly #test = task.testBatch();

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

  /** What the answers depend on now, with all heads and with each one switched off. */
  async letters(): Promise<Letters> {
    const follows = async (edits: ReturnType<typeof without>) =>
      letters.follows((await this.model.forward(letters.tokens, { logits: "last", edits })).logits!);
    const heads = Array.from({ length: this.model.config.numHeads }, (_, head) => head);
    const [all, ...off] = await Promise.all([follows([]), ...heads.map((head) => follows(without(head)))]);
    return { all: meanFollows(all), off: off.map(meanFollows), ...harder(off) };
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
