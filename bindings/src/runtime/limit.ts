/** Makes `load` settle even if a worker or a download never answers: it ends on a timeout or when its signal aborts. */
import { HeadwiseError, type ErrorCode } from "../base/errors.js";
import { aborted, onAbort } from "../base/signals.js";

/** What loading waits for now, and what to free if that never arrives. */
export class Stage {
  what = "the engine";
  code: ErrorCode = "unsupported";
  free = () => {};

  /** `code`: the error's code if it never arrives. */
  waitFor(what: string, code: ErrorCode): void {
    this.what = what;
    this.code = code;
  }
}

export interface Limits {
  readonly signal: AbortSignal | undefined;
  readonly timeout?: number; // milliseconds
}

export const causes =
  "Usual causes: the file is not there (404); on a cross-origin isolated page, the worker's own script came without " +
  "Cross-Origin-Embedder-Policy; a development server has moved the package (Vite: optimizeDeps.exclude: ['headwise'])";

/** Does the work within its limits. If it fails, calls `stage.free`, and passes a result that arrives later to `discard`. */
export async function withinLimits<T>(
  { signal, timeout }: Limits,
  work: (stage: Stage) => Promise<T>,
  discard: (late: T) => void,
): Promise<T> {
  if (signal?.aborted) throw aborted(signal);
  const stage = new Stage();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let unlisten = () => {};
  const result = work(stage);
  const end = new Promise<never>((_, reject) => {
    const late = () => {
      const message = `load: no answer within ${timeout} ms from ${stage.what}. ${causes}`;
      reject(new HeadwiseError(stage.code, message));
    };
    if (timeout !== undefined) timer = setTimeout(late, timeout);
    if (signal) unlisten = onAbort(signal, () => reject(aborted(signal)));
  });
  try {
    return await Promise.race([result, end]);
  } catch (error) {
    stage.free();
    result.then(discard, () => {});
    throw error;
  } finally {
    clearTimeout(timer);
    unlisten();
  }
}
