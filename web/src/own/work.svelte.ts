/** Long work in the worker: what is under way, how far it is, and what went wrong. Only the latest work counts. No DOM. */
import type { Progress } from "headwise";

export interface WorkOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

export class Work<Kind extends string> {
  running = $state<Kind | null>(null);
  /** 0 … 1. */
  progress = $state(0);
  wrong = $state<string | null>(null);
  #current: AbortController | undefined;

  stop(): void {
    this.#current?.abort();
    this.running = null;
  }

  protected async begin(kind: Kind, work: (options: WorkOptions) => Promise<void>): Promise<void> {
    this.stop();
    const { signal } = (this.#current = new AbortController());
    this.running = kind;
    this.progress = 0;
    this.wrong = null;
    const onProgress = ({ done, total }: Progress) => (this.progress = done / total);
    try {
      await work({ signal, onProgress });
    } catch (error) {
      if (!signal.aborted) this.wrong = error instanceof Error ? error.message : String(error);
    }
    if (!signal.aborted) this.running = null;
  }
}
