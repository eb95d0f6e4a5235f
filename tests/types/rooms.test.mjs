// The rooms of bindings/src: imports point down only, so no circle can form between rooms, and none does between files.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join, normalize } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../../bindings/src", import.meta.url));
/** From the ground up. The instance (load.ts, types.ts) uses all rooms but the worker, which answers its calls, and the command. */
const rooms = [
  "base",
  "files",
  "runtime",
  "attention",
  "module",
  "transformer",
  "heads",
  "models",
  "inside",
  "map",
  ".",
  "worker",
  "cli",
];

const roomOf = (file) => (file.includes("/") ? file.split("/")[0] : ".");

const imports = new Map();
for (const file of await readdir(source, { recursive: true })) {
  if (!file.endsWith(".ts") || file.endsWith(".d.ts")) continue;
  const found = [...(await readFile(join(source, file), "utf8")).matchAll(/ from "(\.[^"]+)\.js"/g)];
  imports.set(
    file,
    found.map(([, path]) => `${normalize(join(file, "..", path))}.ts`),
  );
}

test("every room imports from the rooms below it alone", () => {
  const entries = ["index.ts"]; // the public names of all rooms
  for (const [file, targets] of imports) {
    assert.ok(rooms.includes(roomOf(file)), `${file} is in no known room`);
    for (const target of entries.includes(file) ? [] : targets)
      assert.ok(rooms.indexOf(roomOf(target)) <= rooms.indexOf(roomOf(file)), `${file} imports ${target}`);
  }
});

test("no file imports itself through others", () => {
  const done = new Set();
  const visit = (file, path) => {
    assert.ok(!path.includes(file), [...path, file].join(" → "));
    if (done.has(file)) return;
    for (const target of imports.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
});
