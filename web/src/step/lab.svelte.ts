/** The toy: four tokens, two heads of width 2, whose queries and keys are the reader's. The library computes. No DOM. */
import type { Tensor, WorkerHeadwise } from "headwise";

export const TOKENS = ["A", "B", "C", "D"];
const T = TOKENS.length;
const D = 2;

/** What the heads read of each token: its place on a circle. */
const VALUES = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
];

type Vector = readonly [number, number];
export type Kind = "query" | "key";

interface Task {
  readonly text: string;
  /** `weights` [T, T] of each head. */
  readonly done: (weights: readonly (readonly (readonly number[])[])[]) => boolean;
}

const FROM = 0.6;
export const TASKS: readonly Task[] = [
  {
    text: "Head 1: B, C and D each give the previous token 60 % or more.",
    done: ([first]) => [1, 2, 3].every((t) => first[t][t - 1] >= FROM),
  },
  {
    text: "Head 2: every token gives itself 60 % or more.",
    done: ([, second]) => second.every((row, t) => row[t] >= FROM),
  },
  {
    text: "Head 2: every token spreads its weight, no more than 30 % on any.",
    done: ([, second]) => second.every((row) => row.every((weight) => weight <= 0.3)),
  },
  {
    text: "Head 1: all four give A 90 % or more.",
    done: ([first]) => first.every((row) => row[0] >= 0.9),
  },
];

/** Around the middle, apart from each other. */
const start = (angle: number, radius: number): Vector[] =>
  TOKENS.map((_, t) => [radius * Math.cos((t + angle) * 1.2), radius * Math.sin((t + angle) * 1.2)]);

export class Lab {
  /** By head, then by token. */
  query = $state.raw<Vector[][]>([start(2.6, 2.5), start(2, 2.5)]);
  key = $state.raw<Vector[][]>([start(0.5, 1.3), start(0, 1.3)]);
  /** By head: [T][T], and [T][2]. */
  weights = $state.raw<number[][][] | null>(null);
  outputs = $state.raw<number[][][] | null>(null);
  readonly done: readonly boolean[] = $derived(TASKS.map((task) => this.weights !== null && task.done(this.weights)));
  #current: AbortController | undefined;

  move(kind: Kind, head: number, token: number, [x, y]: Vector): void {
    const within = (value: number) => Math.min(LIMIT, Math.max(-LIMIT, Math.round(value * 100) / 100));
    this[kind] = this[kind].map((of, h) =>
      h === head ? of.map((vector, t) => (t === token ? ([within(x), within(y)] as const) : vector)) : of,
    );
  }

  async compute(hw: WorkerHeadwise): Promise<void> {
    this.#current?.abort();
    const { signal } = (this.#current = new AbortController());
    const tensor = (vectors: readonly (readonly (readonly number[])[])[]): Tensor => ({
      data: Float32Array.from(vectors.flat(2)),
      shape: [1, 2, T, D],
    });
    const options = { signal, return: { weights: "probabilities" } } as const;
    const work = hw.attention(tensor(this.query), tensor(this.key), tensor([VALUES, VALUES]), options);
    const result = await work.catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    if (!result || signal.aborted) return;
    this.weights = split(result.weights!.data, T);
    this.outputs = split(result.output.data, D);
  }
}

/** How far a vector reaches, in each direction. */
export const LIMIT = 4;

/** [2, T, width] as arrays. */
function split(data: Float32Array, width: number): number[][][] {
  return [0, 1].map((head) =>
    TOKENS.map((_, t) => Array.from(data.subarray((head * T + t) * width, (head * T + t + 1) * width))),
  );
}
