/** AbortSignals. Each gets one listener, even if many calls wait for it, because Node warns of more than ten. */
import { invalidOption } from "./checks.js";
import { HeadwiseError } from "./errors.js";
import { typeTag } from "./kinds.js";

export function checkSignal(signal: unknown, name: string): AbortSignal {
  if (typeTag(signal) !== "AbortSignal") throw invalidOption(name, "an AbortSignal", signal);
  return signal as AbortSignal;
}

export const aborted = (signal: AbortSignal) =>
  new HeadwiseError("aborted", "the call was aborted", { cause: signal.reason });

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls back once when the signal aborts. The returned function cancels this. */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let callbacks = waiting.get(signal);
  if (callbacks === undefined) {
    const all = (callbacks = new Set());
    waiting.set(signal, all);
    signal.addEventListener("abort", () => [...all].forEach((call) => call()), { once: true });
  }
  const own = () => callback();
  callbacks.add(own);
  return () => void callbacks.delete(own);
}
