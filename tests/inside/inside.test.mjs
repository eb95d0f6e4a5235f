// The analyses of whole models in Node.
import { unpack } from "../../tools/goldens.mjs";
import { inNode } from "../models/suites.mjs";

await unpack();
const { cases } = await import("./cases.mjs");
await inNode(cases);
