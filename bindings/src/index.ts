/** Headwise on the calling thread. Importing it starts nothing; call `load`. */
export { HeadwiseError, type ErrorCode } from "./base/errors.js";
export { exportParameters } from "./models/export_parameters.js";
export { importParameters } from "./models/import_parameters.js";
export { load } from "./load.js";
export { readSafetensors, writeSafetensors } from "./files/safetensors.js";
export { tensor } from "./base/tensor.js";
export type * from "./types.js";
export type * from "./worker/types.js";
