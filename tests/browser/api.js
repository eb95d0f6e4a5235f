// What the tests use on a page, as globals: they send functions that see nothing else.
import { wrap } from "../../node_modules/comlink/dist/esm/comlink.mjs";
import * as headwise from "../../dist/index.js";
import * as headwiseWorker from "../../dist/worker.js";
import { caseRunner } from "./case_runner.js";

Object.assign(window, {
  loads: { headwise: headwise.load, "headwise/worker": headwiseWorker.load },
  caseRunner,
  startCaseWorker() {
    window.caseRunner = wrap(new Worker("case_worker.js", { type: "module" }));
  },

  /** How a promise settles, and when. */
  async outcome(promise) {
    const start = performance.now();
    const settled = await promise.then(
      (value) => ({ value }),
      ({ code, message }) => ({ code, message }),
    );
    return { ...settled, milliseconds: performance.now() - start };
  },

  /** Self-attention of 8 heads, 64 wide: on one thread 1,000 tokens take a fraction of a second, 30,000 minutes. */
  attend(hw, tokens, options) {
    const x = { data: new Float32Array(8 * tokens * 64).fill(0.5), shape: [1, 8, tokens, 64] };
    return hw.attention(x, x, x, options).then?.(() => "done") ?? "done";
  },
});
