// Formats all source files: clang-format for C++, prettier for the rest. `--write` changes files; without it, differences
// fail.
import { pathToFileURL } from "node:url";

import { installPackages, installPrograms } from "./setup.mjs";
import { main, run } from "./steps.mjs";

export async function format({ write }) {
  await installPackages();
  await installPrograms("test");
  const files = (...patterns) =>
    run("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z", ...patterns], { capture: true }).then(
      (list) => list.split("\0").filter(Boolean),
    );
  const cpp = await files("*.cpp", "*.hpp");
  await run("clang-format", write ? ["-i", ...cpp] : ["--dry-run", "--Werror", ...cpp]);
  const rest = await files(
    "*.ts",
    "*.mjs",
    "*.js",
    "*.jsx",
    "*.svelte",
    "*.vue",
    "*.css",
    "*.html",
    "*.json",
    ":!package-lock.json",
  );
  await run("node", [
    "node_modules/prettier/bin/prettier.cjs",
    write ? "--write" : "--check",
    "--log-level=warn",
    ...rest,
  ]);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  main(() => format({ write: process.argv.includes("--write") }));
