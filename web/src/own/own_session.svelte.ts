/** A model of the reader's own in a session: where it comes from, its download, and what the browser keeps of it. */
import { readSafetensors, type ModelSource, type WorkerHeadwise } from "headwise";
import { load } from "headwise/worker";
import { download } from "../download";
import { Session } from "../heads/session.svelte";
import { forget, kept, remember, type Kept } from "./kept";
import { Opened } from "./opened";
import { letters, readerOf } from "./readers";

export interface Request {
  readonly title: string;
  readonly source: ModelSource;
  readonly dtype: "auto" | "f32" | "bf16" | "int8";
  /** Which one, of a model that has two. */
  readonly tower?: "text" | "vision";
}

export const MOBY_DICK = "Moby Dick, letter by letter";

export class OwnSession extends Session {
  opened = $state.raw<Opened | null>(null);
  opening = $state(false);
  /** What went wrong when the last model was opened. */
  refusal = $state<string | null>(null);
  kept = $state.raw<readonly Kept[]>([]);
  #hw: Promise<WorkerHeadwise> | undefined;
  #opening: AbortController | undefined;

  constructor() {
    super("own", [], { layer: 0, head: 0 });
  }

  /** Opens a model by its files. The one before stays until this one is there. */
  async open({ title, source, dtype, tower }: Request): Promise<void> {
    let bytes = 0;
    const onProgress = ({ loaded, total }: { loaded: number; total: number }) => {
      this.progress = { loadedBytes: loaded, totalBytes: total };
      bytes = total;
    };
    const text = "The quick brown fox jumps over the lazy dog.";
    await this.#exchange(text, async (hw, signal) => {
      const model = await hw.openModel(source, { dtype, signal, onProgress, ...(tower && { tower }) });
      return Opened.make(hw, title, model, readerOf(model));
    });
    const place = typeof source === "string" || (typeof source === "object" && "hub" in source);
    if (place && this.opened?.title === title) remember({ title, source: source as Kept["source"], bytes });
    await this.refreshKept();
  }

  /** Opens the page's own small model. */
  async openMobyDick(base: URL): Promise<void> {
    await this.#exchange("The whale ", async (hw, signal) => {
      const [file] = await download([new URL("moby-dick.safetensors", base).href], undefined, signal);
      const model = await hw.loadTransformer(file, { signal });
      return Opened.make(hw, MOBY_DICK, model, letters(readSafetensors(file).metadata.vocabulary));
    });
  }

  abort(): void {
    this.#opening?.abort();
  }

  async refreshKept(): Promise<void> {
    const hw = await this.#library();
    this.kept = await kept((source) => hw.isCached(source));
  }

  async delete({ title, source }: Kept): Promise<void> {
    await (await this.#library()).clearCache(source);
    forget(title);
    await this.refreshKept();
  }

  async #exchange(text: string, open: (hw: WorkerHeadwise, signal: AbortSignal) => Promise<Opened>): Promise<void> {
    this.abort();
    const { signal } = (this.#opening = new AbortController());
    this.opening = true;
    this.refusal = this.progress = null;
    try {
      const hw = await this.#library();
      const opened = await open(hw, signal);
      this.stop();
      await this.opened?.model.dispose();
      this.info = hw.info;
      this.phase = "waiting";
      for (const side of this.sides) side.reset();
      this.side.text = opened.grid ? "" : text;
      this.opened = opened;
      this.use(opened);
      this.openAll();
    } catch (error) {
      if (!signal.aborted) this.refusal = error instanceof Error ? error.message : String(error);
    }
    if (this.#opening?.signal === signal) {
      this.opening = false;
      this.progress = null;
    }
  }

  #library(): Promise<WorkerHeadwise> {
    this.#hw ??= load();
    this.#hw.catch(() => (this.#hw = undefined));
    return this.#hw;
  }
}
