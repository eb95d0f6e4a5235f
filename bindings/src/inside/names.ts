/** The analyses by name. Their code is loaded on demand, this list at once. */
export const analysisNames = [
  "logitLens",
  "attributeLogits",
  "ablateHeads",
  "patch",
  "attributionPatch",
  "pathPatch",
  "detectHeads",
  "composeHeads",
  "headCircuit",
  "rollout",
  "weighValues",
  "clusterHeads",
  "headReport",
  "shapleyValues",
  "learnGates",
  "groupHeads",
] as const;

export type AnalysisName = (typeof analysisNames)[number];
