// Builds the demo page into web/dist/ and the site into web/dist/docs/: static files that work in any folder of any host.
import { pathToFileURL } from "node:url";

import { build } from "./build.mjs";
import { site } from "./site.mjs";
import { main, run, step, upToDate } from "./steps.mjs";

/** Builds the package and the page, as far as they are not up to date. */
export async function page() {
  const environment = await build();
  await step("Preparing the model", () => run("node", ["tools/model.mjs"]));
  const inputs = [
    "web/src",
    "web/index.html",
    "web/vite.config.ts",
    "web/offline.js",
    "web/public",
    "dist",
    "web/readme.ts",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs",
    "package-lock.json",
  ];
  if (!upToDate("web/dist/index.html", inputs)) {
    await step("Building the page", () =>
      run("node", ["node_modules/vite/bin/vite.js", "build", "web", "--logLevel=warn"]),
    );
  }
  await step("Building the site", site);
  return environment;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) main(page);
