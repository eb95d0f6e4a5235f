// Runs the shared cases, one by one, on one instance: on a page or in a worker.
import { expect } from "../../node_modules/chai/index.js";
import { load } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";
import { cases } from "../js/cases.mjs";

const loads = { headwise: load, "headwise/worker": loadWorker };
let context;

export const caseRunner = {
  async open(entry, options) {
    context = { entry, expect, load: loads[entry], hw: await loads[entry](options) };
    return context.hw.info;
  },
  /** What is wrong, or nothing. */
  async run(name) {
    try {
      await cases.find((each) => each.name === name).run(context);
    } catch (error) {
      return `${error}\n${error.stack}`;
    }
  },
  async close() {
    await context.hw.dispose();
  },
};
