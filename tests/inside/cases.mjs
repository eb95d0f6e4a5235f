// The cases of the analyses, the same in Node and in browsers, for both entries. `run({ hw, expect, load, entry, golden })`.
import { lensNames, openGolden } from "../models/goldens.mjs";
import { ablationCases } from "./cases/ablation.mjs";
import { circuitCases } from "./cases/circuits.mjs";
import { familyCases } from "./cases/families.mjs";
import { logitCases } from "./cases/logits.mjs";
import { mapCases } from "./cases/maps.mjs";
import { patchingCases } from "./cases/patching.mjs";
import { groupCases } from "./cases/groups.mjs";
import { pruningCases } from "./cases/pruning.mjs";
import { reportCases } from "./cases/report.mjs";

const names = await lensNames();
const all = [
  ...logitCases(names),
  ...ablationCases(names),
  ...patchingCases(names),
  ...circuitCases(names),
  ...familyCases,
  ...mapCases,
  ...reportCases,
  ...pruningCases,
  ...groupCases,
];
export const cases = all.map((each) => ({ ...each, run: (context) => each.run({ ...context, golden: openGolden }) }));
