// `npm run version`: makes the next version of the changes in .changeset. Moves them into CHANGELOG.md, and writes the version
// wherever it stands.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { installPackages } from "./setup.mjs";
import { main, root, run } from "./steps.mjs";

/** The headings of Keep a Changelog, in their order. */
const headings = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

/** The lines of all changes under each heading. */
function merge(summaries) {
  const lines = Object.fromEntries(headings.map((heading) => [heading, []]));
  for (const summary of summaries) {
    const [before, ...parts] = summary.split(/^### +(.+)$/m);
    if (before.trim() !== "") throw new Error(`a change stands under no heading: ${before.trim()}`);
    for (let n = 0; n < parts.length; n += 2) {
      if (!headings.includes(parts[n])) throw new Error(`"${parts[n]}" is none of ${headings.join(", ")}`);
      lines[parts[n]].push(parts[n + 1].trim());
    }
  }
  const filled = headings.filter((heading) => lines[heading].length > 0);
  return filled.map((heading) => `### ${heading}\n\n${lines[heading].join("\n")}\n`).join("\n");
}

/** Makes the next version of the package in `folder`. */
export async function nextVersion(folder) {
  /** Changes the text of a file; each replacement must be found. */
  const edit = async (file, ...replacements) => {
    let text = await readFile(join(folder, file), "utf8");
    for (const [from, to] of replacements) {
      if (text.search(from) < 0) throw new Error(`${file} has no ${from}`);
      text = text.replace(from, to);
    }
    await writeFile(join(folder, file), text);
  };
  const { default: readChangesets } = await import("@changesets/read");
  const changes = await readChangesets(folder);
  if (changes.length === 0) return console.log("no changes");
  const section = merge(changes.map(({ summary }) => summary));
  await run(process.execPath, [join(root, "node_modules/@changesets/cli/bin.js"), "version"], { cwd: folder });
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const date = new Date().toISOString().slice(0, 10);
  await edit("CHANGELOG.md", [/^## \[\d/m, (next) => `## [${version}] - ${date}\n\n${section}\n${next}`]);
  const own = /(?<="name": "headwise",\s*"version": ")[^"]+/g; // of the lock file: twice
  await edit("package-lock.json", [own, version]);
  await edit("CITATION.cff", [/(?<=^version: ).*$/m, version], [/(?<=^date-released: ).*$/m, date]);
  for (const file of ["README.md", "docs/guide/start.md", "docs/guide/bundlers.md"])
    await edit(file, [/(?<=headwise[@-])\d+\.\d+\.\d+/g, version]);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  main(async () => {
    await installPackages();
    await nextVersion(root);
  });
}
