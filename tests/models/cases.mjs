// The cases of opened models, the same in Node and in browsers, for both entries. `run({ hw, expect, load, entry })`.
import { modelNames } from "./goldens.mjs";
import { goldenCases } from "./cases/goldens.mjs";
import { refusalCases } from "./cases/refusals.mjs";
import { textCases } from "./cases/text.mjs";

export const cases = [...goldenCases(await modelNames()), ...refusalCases, ...textCases];
