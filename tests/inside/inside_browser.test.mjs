// The analyses of whole models in Chromium.
import { unpack } from "../../tools/goldens.mjs";
import { inChromium } from "../models/suites.mjs";

await unpack();
const { cases } = await import("./cases.mjs");
inChromium("analyses in chromium", "../inside/cases.mjs", cases, [
  ["headwise", { threads: 1 }],
  ["headwise/worker", { threads: 1, simd: "simd128" }],
]);
