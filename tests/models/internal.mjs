// Modules of bindings/src that are not public, bundled into build/models for tests in Node and on pages.
import { rename } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { rolldown } from "rolldown";

import { root } from "../../tools/steps.mjs";

/** Bundles a module; returns the bundle's path within the repository. Two test files may do so at the same time. */
export async function bundleInternal(file) {
  const to = `build/models/${file.replaceAll("/", "-").replace(/ts$/, "mjs")}`;
  const build = await rolldown({
    input: join(root, "bindings/src", file),
    external: ["@huggingface/tokenizers"],
    platform: "browser",
  });
  const written = join(root, `${to}.${process.pid}`);
  await build.write({ file: written, format: "es" });
  await build.close();
  await rename(written, join(root, to));
  return to;
}

export async function importInternal(file) {
  return import(pathToFileURL(join(root, await bundleInternal(file))));
}
