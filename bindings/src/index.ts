/** Headwise on the calling thread. Importing it starts nothing; call `load`. */
export * from "./common.js";
export { load } from "./load.js";
export type * from "./worker/types.js";
