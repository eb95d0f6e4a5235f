/** `openModel` of `headwise/worker`: tensors stream inside the worker; what reads text and images is opened outside. */
import { openFiles } from "../files/model_files.js";
import { resolveSource, sendableSource } from "../files/sources.js";
import type { ModelSource } from "../files/types.js";
import { openReaders } from "../models/input_readers.js";
import { readOpenOptions } from "../models/open_options.js";
import type { OpenModelOptions } from "../models/opened_types.js";
import type { Connection } from "./connection.js";
import { revive } from "./objects.js";
import { readingMembers } from "./reading.js";
import type { WorkerOpenedModel } from "./types.js";

let lastKey = 0;

export async function openModel(
  connection: Connection,
  source: ModelSource,
  options?: OpenModelOptions,
): Promise<WorkerOpenedModel> {
  const resolved = resolveSource(source);
  const { cache, signal } = readOpenOptions(options);
  const readers = await openReaders(openFiles(resolved, { cache, signal }));
  const key = ++lastKey;
  const membersOf = (model: object) => readingMembers(model as WorkerOpenedModel, readers);
  connection.reading.set(key, { membersOf, models: 0 });
  try {
    const call = connection.call(0, "openModel", [sendableSource(resolved), { ...options, key }]);
    return revive(connection, await call) as WorkerOpenedModel;
  } catch (error) {
    connection.reading.delete(key);
    throw error;
  }
}

export { clearCache, isCached } from "../files/model_files.js";
