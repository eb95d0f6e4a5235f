/** Headwise on the calling thread. Importing this runs nothing; all starts with `load`. */
export { HeadwiseError, type ErrorCode } from "./errors.js";
export { exportParameters } from "./export_parameters.js";
export { importParameters } from "./import_parameters.js";
export type { ExportParametersOptions, ImportParametersOptions, ModuleState, StateDictLayout } from "./layouts.js";
export { load } from "./load.js";
export {
  readSafetensors,
  writeSafetensors,
  type Safetensors,
  type SafetensorsInfo,
  type WriteSafetensorsOptions,
} from "./safetensors.js";
export { tensor } from "./tensor.js";
export type * from "./types.js";
