// The installed package's types in a strict project that checks them too and has no other types: not even Node's.
import { equal } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { root } from "../../tools/steps.mjs";
import { consumer, settings } from "./consumer.mjs";
import { makeProject } from "./project.mjs";

let project;
before(async () => {
  project = await makeProject();
  await project.write({ "consumer.ts": consumer });
});
after(() => project?.remove());

for (const compiler of ["typescript-oldest", "typescript", "typescript-newest"]) {
  const folder = join(root, "node_modules", compiler);
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  for (const [name, compilerOptions] of Object.entries(settings)) {
    test(`the types hold and refuse what is wrong, with TypeScript ${version}, moduleResolution ${name}`, async () => {
      await project.write({ "tsconfig.json": JSON.stringify({ compilerOptions, files: ["consumer.ts"] }) });
      const { code, text } = await project.run(process.execPath, [join(folder, "bin/tsc")]);
      equal(text, "");
      equal(code, 0);
    });
  }
}
