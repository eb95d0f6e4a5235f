/** `openModel` where text and images are read on the thread that computes. */
import type { ModelSource } from "../files/types.js";
import type { Instance } from "../runtime/instance.js";
import { openReaders } from "./input_readers.js";
import { openModel } from "./open_model.js";
import type { PublishedModel } from "./opened_model.js";
import { readOpenOptions } from "./open_options.js";
import type { OpenModelOptions } from "./opened_types.js";

export const openHere = async (
  instance: Instance,
  source: ModelSource,
  options?: OpenModelOptions,
): Promise<PublishedModel> => openModel(instance, source, readOpenOptions(options), openReaders);

export { clearCache, isCached } from "../files/model_files.js";
