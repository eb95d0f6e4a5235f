/** The analyses of whole models: long work on an instance, by name. */
import type { LongWork } from "../base/long_work.js";
import type { Instance } from "../runtime/instance.js";
import { ablateHeads } from "./ablate_heads.js";
import { attributeLogits } from "./attribute_logits.js";
import { attributionPatch } from "./attribution_patch.js";
import { patch } from "./patch.js";
import { pathPatch } from "./path_patch.js";
import { detectHeads } from "./detect_heads.js";
import { composeHeads } from "./compose_heads.js";
import { headCircuit } from "./head_circuit.js";
import { clusterHeads } from "./cluster_heads.js";
import { rollout } from "./rollout.js";
import { weighValues } from "./weigh_values.js";
import { groupHeads } from "./group_heads.js";
import { headReport } from "./head_report.js";
import { learnGates } from "./learn_gates.js";
import { shapleyValues } from "./shapley_values.js";
import { logitLens } from "./logit_lens.js";
import type { AnalysisName } from "./names.js";

export const analyses: Readonly<Record<AnalysisName, (instance: Instance, ...args: never) => LongWork<unknown>>> = {
  logitLens,
  attributeLogits,
  ablateHeads,
  patch,
  attributionPatch,
  pathPatch,
  detectHeads,
  composeHeads,
  headCircuit,
  rollout,
  weighValues,
  clusterHeads,
  headReport,
  shapleyValues,
  learnGates,
  groupHeads,
};

/** The long work of one analysis. */
export const analysis =
  (name: AnalysisName, instance: Instance) =>
  (...args: unknown[]): LongWork<unknown> =>
    analyses[name](instance, ...(args as never));
