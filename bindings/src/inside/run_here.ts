/** Analyses on the thread that computes, with text. */
import { runInTurns } from "../base/turns.js";
import type { Instance } from "../runtime/instance.js";
import { analysis } from "./analyses.js";
import type { AnalysisName } from "./names.js";
import { finishReport } from "./report_table.js";
import { encodeArguments } from "./text_arguments.js";
import type { HeadReport } from "./types.js";

export async function runHere(name: AnalysisName, instance: Instance, args: readonly unknown[]): Promise<unknown> {
  const result = await runInTurns(analysis(name, instance), encodeArguments(name, args));
  return name === "headReport" ? finishReport(result as HeadReport, args[0]) : result;
}
