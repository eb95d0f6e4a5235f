/** What both entries export. It needs no instance. */
export { HeadwiseError, type ErrorCode } from "./base/errors.js";
export { exportParameters } from "./models/export_parameters.js";
export { importParameters } from "./models/import_parameters.js";
export { readSafetensors, writeSafetensors } from "./files/safetensors.js";
export { tensor } from "./base/tensor.js";
export type * from "./types.js";
