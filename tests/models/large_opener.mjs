// Run as a program of its own: opens a model, and says how much memory that took, and how much of it is the model's.
import { load } from "../../dist/index.js";

const peak = () => process.resourceUsage().maxRSS * 1024;
const hw = await load({ threads: 1 });
const before = peak();
const model = await hw.openModel(process.argv[2]);
const grown = peak() - before;
console.log(JSON.stringify({ parameters: model.parameterCount, used: hw.memory().usedBytes, grown }));
