import { expose } from "../../node_modules/comlink/dist/esm/comlink.mjs";
import { caseRunner } from "./case_runner.js";

expose(caseRunner);
