/** Long work that leaves room for messages, events and timers. */
import { checkOnProgress, takeOptions, type LongWork } from "./long_work.js";
import { optional } from "./options.js";
import { aborted, checkSignal } from "./signals.js";

/** One channel for all turns; a new one for each would be garbage. */
let channel: MessageChannel | undefined;
const waiting: (() => void)[] = [];

function openChannel(): MessageChannel {
  const opened = new MessageChannel();
  opened.port1.onmessage = () => waiting.shift()!();
  return opened;
}

/** Lets pending messages be handled, such as aborts. In browsers a timer would wait for milliseconds. */
export function takeMessages(): Promise<void> {
  if (typeof setImmediate === "function") return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    waiting.push(resolve);
    (channel ??= openChannel()).port2.postMessage(undefined);
  });
}

/** Milliseconds of work between two turns: less than a frame. */
const longest = 12;

/** Runs long work on this thread. `onProgress` and `signal` are members of its last argument, the options. */
export async function runInTurns<T>(
  work: (...args: unknown[]) => LongWork<T>,
  args: readonly unknown[],
  turn = takeMessages,
): Promise<T> {
  const { rest, taken } = takeOptions(args, ["onProgress", "signal"]);
  const onProgress = checkOnProgress(taken.onProgress, "onProgress");
  const signal = optional(checkSignal)(taken.signal, "signal");
  const running = work(...rest);
  const stop = () => void running.return(undefined as never);
  let turned = performance.now();
  try {
    for (;;) {
      if (signal?.aborted) throw aborted(signal);
      const step = running.next();
      if (step.done) return step.value;
      onProgress?.(step.value);
      if (performance.now() - turned < longest) continue;
      await turn();
      turned = performance.now();
    }
  } finally {
    stop(); // does nothing after the end
  }
}
