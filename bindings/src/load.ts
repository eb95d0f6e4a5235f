import { onDemand } from "./base/on_demand.js";
import { readOptions } from "./base/options.js";
import { analysisNames, type AnalysisName } from "./inside/names.js";
import { choose, startChosen } from "./runtime/choose.js";
import { withinLimits, type Stage } from "./runtime/limit.js";
import { loadTable } from "./runtime/load_options.js";
import { detectMachine } from "./runtime/machine.js";
import { locate } from "./runtime/sources.js";
import type { LoadOptions } from "./runtime/types.js";
import { startHeadwise, type OnDemand } from "./start_headwise.js";
import type { Headwise } from "./types.js";

const models = () => onDemand(() => import("./models/open_here.js"));

const inside = () => onDemand(() => import("./inside/run_here.js"), "analyses");

const later: OnDemand = (instance) => ({
  openModel: async (...args) => (await models()).openHere(instance, ...args),
  isCached: async (...args) => (await models()).isCached(...args),
  clearCache: async (...args) => (await models()).clearCache(...args),
  ...(Object.fromEntries(
    analysisNames.map((name) => [name, async (...args: unknown[]) => (await inside()).runHere(name, instance, args)]),
  ) as Record<AnalysisName, never>),
});

/** Loads Headwise with the binary that fits the machine. Each call makes an instance with its own memory and threads. */
export async function load(optionsLike?: LoadOptions): Promise<Headwise> {
  const options = readOptions(optionsLike, "load", loadTable);
  const work = (stage: Stage) =>
    startChosen(
      options,
      async (refused) => choose(options, await detectMachine(), refused),
      async (choice) => {
        stage.waitFor(`wasm, which was asked for headwise-${choice.binary}.wasm`, "invalid-file");
        return startHeadwise(choice, await locate(choice.binary, options.wasm), stage, later);
      },
    );
  return withinLimits(options, work, (late) => late.dispose());
}
