/** A model of the reader's own in a session: where it comes from, its download, and what the browser keeps of it. */
import { readSafetensors, type HubModel, type ModelSource, type WorkerHeadwise } from "headwise";
import { load } from "headwise/worker";
import { download } from "../download";
import { Session } from "../heads/session.svelte";
import { forget, kept, remember, type Kept } from "./kept";
import { Opened } from "./opened";
import { letters, readerOf } from "./readers";

export interface Request {
  readonly title: string;
  readonly source: ModelSource;
  readonly dtype: (typeof DTYPES)[number];
  /** Which one, of a model that has two. */
  readonly tower?: "text" | "vision";
}

const DTYPES = ["auto", "f32", "bf16", "int8"] as const;
const HUB = "https://huggingface.co";

function originOf({ source, dtype, tower }: Request): Record<string, string> {
  const rest = { ...(dtype !== "auto" && { dtype }), ...(tower && { tower }) };
  if (typeof source === "string") return { address: source, ...rest };
  if (!("hub" in source)) return {};
  const { hub, endpoint = HUB } = source as HubModel;
  return { hub, ...(String(endpoint) !== HUB && { endpoint: String(endpoint) }), ...rest };
}

const MOBY_DICK = "Moby Dick, letter by letter";

export class OwnSession extends Session {
  opened = $state.raw<Opened | null>(null);
  opening = $state(false);
  /** What a model of images reads, to be shown. */
  picture = $state.raw<ImageData | null>(null);
  /** Where the open model came from, as parameters of an address; of files there is nothing to say. */
  origin = $state.raw<Readonly<Record<string, string>>>({});
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
    const opened = await this.#exchange(text, async (hw, signal) => {
      const model = await hw.openModel(source, { dtype, signal, onProgress, ...(tower && { tower }) });
      return Opened.make(hw, title, model, readerOf(model));
    });
    if (!opened) return;
    this.origin = originOf({ title, source, dtype, tower });
    const place = typeof source === "string" || (typeof source === "object" && "hub" in source);
    if (place) remember({ title, source: source as Kept["source"], bytes });
    await this.refreshKept();
  }

  /** Opens the page's own small model. */
  async openMobyDick(base: URL): Promise<void> {
    const opened = await this.#exchange("The whale ", async (hw, signal) => {
      const [file] = await download([new URL("moby-dick.safetensors", base).href], undefined, signal);
      const model = await hw.loadTransformer(file, { signal });
      return Opened.make(hw, MOBY_DICK, model, letters(readSafetensors(file).metadata.vocabulary));
    });
    if (opened) this.origin = { model: "moby-dick" };
  }

  /** Opens what an address names, if that is not open. */
  async openOrigin(parameters: URLSearchParams, models: URL): Promise<void> {
    const get = (name: string) => parameters.get(name) ?? undefined;
    if (this.isFrom(parameters)) return this.abort(); // no other is wanted now
    if (get("model") === "moby-dick") return this.openMobyDick(models);
    const hub = get("hub");
    const address = get("address");
    if (hub === undefined && address === undefined) return;
    const endpoint = get("endpoint");
    const source = hub === undefined ? address! : { hub, ...(endpoint && { endpoint }) };
    const dtype = DTYPES.find((each) => each === get("dtype")) ?? "auto";
    const tower = (["text", "vision"] as const).find((each) => each === get("tower"));
    await this.open({ title: hub ?? address!, source, dtype, tower });
  }

  /** Whether the open model is the one that an address names. */
  isFrom(parameters: URLSearchParams): boolean {
    const names = ["model", "hub", "endpoint", "address", "dtype", "tower"];
    return this.opened !== null && names.every((name) => (parameters.get(name) ?? undefined) === this.origin[name]);
  }

  /** A model that was made of the open one takes its place, on the same texts. No address names it. */
  async exchangeFor(model: Opened): Promise<void> {
    const before = this.opened;
    this.stop();
    this.origin = {};
    for (const side of this.sides) side.clear();
    this.phase = "waiting";
    this.#take(model);
    await before?.model.dispose();
  }

  #take(opened: Opened): void {
    this.opened = opened;
    this.use(opened);
    this.openAll();
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

  /** @returns whether the model is there: an opening may fail, and may be stopped */
  async #exchange(text: string, open: (hw: WorkerHeadwise, signal: AbortSignal) => Promise<Opened>): Promise<boolean> {
    this.abort();
    const { signal } = (this.#opening = new AbortController());
    this.opening = true;
    this.refusal = this.progress = null;
    try {
      const hw = await this.#library();
      const opened = await open(hw, signal);
      if (signal.aborted) {
        await opened.model.dispose();
        return false;
      }
      this.stop();
      await this.opened?.model.dispose();
      this.info = hw.info;
      this.phase = "waiting";
      for (const side of this.sides) side.reset();
      this.picture = null;
      this.side.text = this.defaultText = opened.grid ? "" : text;
      this.#take(opened);
      return true;
    } catch (error) {
      if (!signal.aborted) this.refusal = error instanceof Error ? error.message : String(error);
      return false;
    } finally {
      if (this.#opening?.signal === signal) {
        this.opening = false;
        this.progress = null;
      }
    }
  }

  #library(): Promise<WorkerHeadwise> {
    this.#hw ??= load();
    this.#hw.catch(() => (this.#hw = undefined));
    return this.#hw;
  }
}
