// The recipes of docs/guide/bundlers.md, as they stand there.
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { root } from "../../tools/steps.mjs";

const guide = await readFile(join(root, "docs/guide/bundlers.md"), "utf8");

/** The first block of code in a language under a heading. */
export function recipe(heading, language) {
  const section = guide.split(`\n## ${heading}\n`)[1]?.split(/\n##+ /)[0];
  const code = section?.match(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s"))?.[1];
  if (code === undefined) throw new Error(`docs/guide/bundlers.md has no ${language} under "${heading}"`);
  return code;
}

/** A script that offers `compute` of app/page.js for a recipe that makes `hw`; its `load` gets the test's options, too. */
export function recipeScript(code, entry) {
  const imports = /^import .*\n/gm;
  const others = (code.match(imports) ?? []).filter((line) => !line.startsWith("import { load"));
  return `
    import * as headwise from "${entry}";
    import { compute } from "./compute.js";
    ${others.join("")}
    globalThis.compute = (entry, options) => {
      const load = (more) => headwise.load({ ...more, ...options });
      return compute({ ...headwise, load: async () => { ${code.replace(imports, "")} return hw; } });
    };`;
}
