// The API reference as Markdown in docs/api, from the doc comments. Fails if a public symbol has none, or a link leads nowhere.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Application, Logger, LogLevel } from "typedoc";

import { main, root } from "./steps.mjs";

/** Keeps what TypeDoc objects to. The members of a type that is written in place are described with it. */
class Objections extends Logger {
  found = [];
  log(message, level) {
    if (level >= LogLevel.Warn && !message.includes(".__type.")) this.found.push(message);
  }
}

const source = (file) => join(root, "bindings/src", file);

/** Writes docs/api. */
export async function api() {
  const logger = new Objections();
  const app = await Application.bootstrapWithPlugins({
    entryPoints: [source("index.ts"), source("worker/index.ts"), source("map/index.ts")],
    tsconfig: join(root, "tsconfig.json"),
    out: join(root, "docs/api"),
    plugin: ["typedoc-plugin-markdown"],
    readme: "none",
    name: "API",
    validation: { notExported: true, invalidLink: true, notDocumented: true },
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    disableSources: true,
    router: "member",
    hidePageHeader: true,
    hideBreadcrumbs: true,
    useCodeBlocks: true,
  });
  app.logger = logger;
  const project = await app.convert();
  if (project) app.validate(project);
  if (logger.found.length > 0) throw new Error(`the doc comments: ${logger.found.join("\n")}`);
  await app.generateOutputs(project);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) main(api);
