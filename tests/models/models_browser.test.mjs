// Opened models in Chromium.
import { unpack } from "../../tools/goldens.mjs";
import { inChromium } from "./suites.mjs";

await unpack();
const { cases } = await import("./cases.mjs");
inChromium("opened models in chromium", "./cases.mjs", cases, [
  ["headwise", { threads: 1 }],
  ["headwise/worker", { threads: 1, simd: "simd128" }],
  ["headwise/worker", { threads: 2 }],
]);
