/** Work that takes many calls into the core. It reports progress between the calls and can be stopped there. */
import { checkFunction, type Check } from "./checks.js";
import { namesOf } from "./kinds.js";
import { hasMembers, optional } from "./options.js";
import { isTensorLike } from "./tensor.js";
import type { Progress } from "./types.js";

/**
 * Long work is a generator. It yields its progress between calls into the core and returns the result. To stop it, call `return()`; it
 * frees what it has made in a `finally`.
 */
export type LongWork<T> = Generator<Progress, T, void>;

/** Separates the members `names` of the options, which are the last argument, from the other arguments and options. */
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

/** Runs long work to its end on this thread. */
export function drain<T>(work: LongWork<T>, onProgress?: (progress: Progress) => void): T {
  let step = work.next();
  try {
    while (!step.done) {
      onProgress?.(step.value);
      step = work.next();
    }
  } finally {
    if (!step.done) work.return(undefined as never); // onProgress threw
  }
  return step.value;
}

/** The long work of each method, for the worker's host. */
const works = new WeakMap<object, (...args: never) => LongWork<unknown>>();

/**
 * Makes a public method from long work, with `onProgress` in its options. `headwise/worker` runs the same work alternately with
 * incoming messages, and its options also take a `signal`.
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

/** The long work of a method that `longMethod` made. */
export function workOf(method: object): ((...args: unknown[]) => LongWork<unknown>) | undefined {
  return works.get(method) as ((...args: unknown[]) => LongWork<unknown>) | undefined;
}

/** Runs long work as a part of other long work. Its progress counts from `from` to `to` of the whole's `total`. */
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

const watched = new WeakSet<object>();

/**
 * An async method of the public surface whose options have `signal` and `onProgress` of its own, for work that waits for
 * files. In `headwise/worker` it gets both from the other side.
 */
export function watchedMethod<Method extends (...args: never) => Promise<unknown>>(method: Method): Method {
  watched.add(method);
  return method;
}

export const isWatched = (method: object): boolean => watched.has(method);
