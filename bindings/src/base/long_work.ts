/** Work that takes many calls into the core: it shows its progress in between, and can be stopped there. */
import { checkFunction, type Check } from "./checks.js";
import { namesOf } from "./kinds.js";
import { hasMembers, optional } from "./options.js";
import { isTensorLike } from "./tensor.js";
import type { Progress } from "./types.js";

/**
 * Long work is a generator: it yields its progress between calls into the core, and returns the result. Where it is stopped
 * it is `return()`ed: what it has made it frees in a `finally`.
 */
export type LongWork<T> = Generator<Progress, T, void>;

/** The options' members `names`, and the arguments without them. Options come last. */
export function takeOptions<Name extends string>(args: readonly unknown[], names: readonly Name[]) {
  const last = args.at(-1);
  const taken: { [name in Name]?: unknown } = {};
  if (!hasMembers(last) || isTensorLike(last)) return { rest: [...args], taken };
  for (const name of names) {
    const value = last[name];
    if (value !== undefined) taken[name] = value;
  }
  if (Object.keys(taken).length === 0) return { rest: [...args], taken };
  const others = namesOf(last).filter((name) => !(names as readonly string[]).includes(name));
  return { rest: [...args.slice(0, -1), Object.fromEntries(others.map((name) => [name, last[name]]))], taken };
}

export const checkOnProgress = optional(checkFunction) as Check<((progress: Progress) => void) | undefined>;

/** Does all of it on this thread. */
export function drain<T>(work: LongWork<T>, onProgress?: (progress: Progress) => void): T {
  let step = work.next();
  try {
    while (!step.done) {
      onProgress?.(step.value);
      step = work.next();
    }
  } finally {
    if (!step.done) work.return(undefined as never); // onProgress has thrown
  }
  return step.value;
}

/** The long work behind methods, for the worker's host. */
const works = new WeakMap<object, (...args: never) => LongWork<unknown>>();

/**
 * A method of the public surface that does long work, with `onProgress` in its options. In `headwise/worker` the same
 * work is done in turns with the messages that come in, and its options take a `signal` too.
 */
export function longMethod<This, Args extends unknown[], T>(
  work: (this: This, ...args: Args) => LongWork<T>,
): (this: This, ...args: Args) => T {
  function method(this: This, ...args: Args): T {
    const { rest, taken } = takeOptions(args, ["onProgress"]);
    return drain(work.apply(this, rest as Args), checkOnProgress(taken.onProgress, "onProgress"));
  }
  works.set(method, work);
  return method;
}

/** The work of a method that `longMethod` has made. */
export function workOf(method: object): ((...args: unknown[]) => LongWork<unknown>) | undefined {
  return works.get(method) as ((...args: unknown[]) => LongWork<unknown>) | undefined;
}

/** Long work as a part of other: its steps count from `from` to `to` of the whole's `total`. */
export function* part<T>(work: LongWork<T>, from: number, to: number, total: number): LongWork<T> {
  let step = work.next();
  try {
    while (!step.done) {
      yield { done: from + ((to - from) * step.value.done) / step.value.total, total };
      step = work.next();
    }
  } finally {
    if (!step.done) work.return(undefined as never);
  }
  return step.value;
}
