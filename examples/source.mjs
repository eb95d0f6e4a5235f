// Where a model is: a folder on this machine, or a name on Hugging Face ("openai-community/gpt2").
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** What `openModel` takes for a folder or a name. */
export const sourceOf = (name) => (existsSync(name) ? pathToFileURL(`${resolve(name)}/`) : { hub: name });
