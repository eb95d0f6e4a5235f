// The page's TypeScript for tests in Node, on the package as it is built.
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { rolldown } from "rolldown";

import { root } from "../../tools/steps.mjs";

/** Bundles a file of the page and imports it. */
export async function importPageCode(entry) {
  await mkdir(join(root, "build"), { recursive: true });
  const folder = await mkdtemp(join(root, "build/page-code-")); // inside the package: there, "headwise" means itself
  try {
    const file = join(folder, "page.mjs");
    const bundle = await rolldown({ input: join(root, entry), external: ["headwise", "headwise/worker"] });
    await bundle.write({ file });
    await bundle.close();
    return await import(pathToFileURL(file));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
