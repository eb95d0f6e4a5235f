// What a page computes with: both entries of the package.
import * as headwise from "headwise";
import * as worker from "headwise/worker";
import { compute } from "./compute.js";

const entries = { headwise, "headwise/worker": worker };
globalThis.compute = (entry, options) => compute(entries[entry], options);
