/** Progress on the terminal: one line that changes; without a terminal a line for each stage. */
import type { Progress } from "../types.js";

/** Both on standard error: standard output is for results. */
export class ProgressLine {
  readonly #terminal = process.stderr.isTTY;
  #stage = "";
  #shown = "";

  /** A new stage. */
  start(stage: string): void {
    this.#stage = stage;
    if (this.#terminal) this.#show(stage);
    else process.stderr.write(`${stage}\n`);
  }

  /** How much of the stage is done. */
  readonly at = ({ done, total }: Progress): void => {
    if (this.#terminal && total > 0) this.#show(`${this.#stage}: ${Math.floor((100 * done) / total)} %`);
  };

  /** Leaves an empty line. */
  end(): void {
    if (this.#terminal) this.#show("");
  }

  #show(text: string): void {
    if (text === this.#shown) return;
    process.stderr.write(`\r${text.padEnd(this.#shown.length)}${text === "" ? "\r" : ""}`);
    this.#shown = text;
  }
}
