// The cases of opened models, the same in Node and in browsers, for both entries. `run({ hw, expect, load, entry })`.
import { modelNames } from "./goldens.mjs";
import { formatCases } from "./cases/formats.mjs";
import { goldenCases } from "./cases/goldens.mjs";
import { insideCases } from "./cases/inside.mjs";
import { modernbertCases } from "./cases/modernbert_classifier.mjs";
import { pruningCases } from "./cases/pruning.mjs";
import { refusalCases } from "./cases/refusals.mjs";
import { textCases } from "./cases/text.mjs";

const names = await modelNames();
export const cases = [
  ...goldenCases(names),
  ...insideCases(names),
  ...formatCases(names),
  ...modernbertCases,
  ...pruningCases,
  ...refusalCases,
  ...textCases,
];
