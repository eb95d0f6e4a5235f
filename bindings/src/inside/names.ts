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
] as const;

export type AnalysisName = (typeof analysisNames)[number];
