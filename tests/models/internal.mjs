// Modules of bindings/src that are not public, bundled into build/models for tests in Node and on pages.
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { rolldown } from "rolldown";

import { root } from "../../tools/steps.mjs";

/** Bundles a module; returns the bundle's path within the repository. */
export async function bundleInternal(file) {
  const to = `build/models/${file.replaceAll("/", "-").replace(/ts$/, "mjs")}`;
  const build = await rolldown({
    input: join(root, "bindings/src", file),
    external: ["@huggingface/tokenizers"],
    platform: "browser",
  });
  await build.write({ file: join(root, to), format: "es" });
  await build.close();
  return to;
}

export async function importInternal(file) {
  return import(pathToFileURL(join(root, await bundleInternal(file))));
}
