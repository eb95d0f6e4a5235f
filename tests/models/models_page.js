// Runs cases of opened models on a page, one by one, on one instance: ?cases=… says where they are.
import { expect } from "../../node_modules/chai/index.js";
import { load } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";

const loads = { headwise: load, "headwise/worker": loadWorker };
/** The list needs the names of the models, which are fetched. */
const list = new URLSearchParams(location.search).get("cases") ?? "./cases.mjs";
const cases = import(list).then((module) => module.cases);
let context;

window.modelCases = {
  async open(entry, options) {
    context = { entry, expect, load: loads[entry], hw: await loads[entry](options) };
  },
  /** What is wrong, or nothing. */
  async run(name) {
    try {
      await (await cases).find((each) => each.name === name).run(context);
    } catch (error) {
      return `${error}\n${error.stack}`;
    }
  },
  close: () => context.hw.dispose(),
};
