/** The page's own model in a session: a cached run at once, the first layer as soon as its file is there, then the whole. */
import { load } from "headwise/worker";
import type { WorkerHeadwise } from "headwise";
import { Encoder } from "./encoder";
import { example } from "./example";
import { loadFirst, loadRest } from "./model/index";
import { Session } from "./session.svelte";

export class EncoderSession extends Session {
  /** The library, as soon as it is there. */
  hw = $state.raw<WorkerHeadwise | undefined>();
  #starting: AbortController | undefined;

  constructor() {
    super(
      "show",
      example.gates.map(({ length }) => length),
      { layer: 1, head: 1 },
    );
    const { side } = this;
    side.text = this.defaultText = example.text;
    side.show(example);
    side.move({ query: 7, key: 1 }); // "it" → "cat"
    side.moves = 0;
  }

  async start(base: URL): Promise<void> {
    this.#starting?.abort();
    this.stop();
    const { signal } = (this.#starting = new AbortController());
    this.error = this.progress = null;
    this.phase = "waiting";
    const progress = (loadedBytes: number, totalBytes: number) => (this.progress = { loadedBytes, totalBytes });
    try {
      await this.hw?.dispose(); // a second start, after a failure
      const starting = load();
      starting.catch(() => {}); // its failure is reported below, even when the model fails first
      const loading = loadFirst(base, progress, signal).catch((error: unknown) => {
        void starting.then((hw) => hw.dispose());
        throw error;
      });
      const first = await loading;
      const hw = (this.hw = await starting);
      this.info = hw.info;
      const encoder = await Encoder.make(hw, first);
      this.use(encoder);
      const running = this.run(); // waits for the rest if the text has rare tokens
      const rest = await loadRest(base, progress, signal);
      if (this.error !== null) return;
      await encoder.complete(rest);
      await running;
      await this.run();
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }
}
