// `npm run reproduce`: builds and packs the package again in another folder, and compares the bytes with those built here.
// `--quick` takes the binaries that are built, and compiles only two files again.
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { binaries, build } from "./build.mjs";
import { main, root, run, step } from "./steps.mjs";

const objects = [
  "CMakeFiles/headwise_core.dir/src/nn/multi_head_attention.cpp.o",
  "bindings/CMakeFiles/headwise.dir/embind_types.cpp.o",
];

/** Copies what git tracks, and what it would. */
async function copyRepository(folder) {
  const list = await run("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { capture: true });
  for (const name of list.split("\0").filter(Boolean)) await cp(join(root, name), join(folder, name));
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
}

/** Fails if files differ, naming them. */
async function compare(folder, names) {
  const differs = async (name) => {
    const [here, there] = await Promise.all(
      [root, folder].map((at) => readFile(join(at, name)).catch(() => undefined)),
    );
    return !here || !there || !here.equals(there);
  };
  const different = [];
  for (const name of names) if (await differs(name)) different.push(name);
  if (different.length > 0) throw new Error(`another folder, other bytes: ${different.join(", ")}`);
}

/** Compiles two files there, and compares. Then takes the binaries built here, and what the linker wrote beside them. */
async function borrowBinaries(folder, environment) {
  const [preset] = binaries;
  const cmake = (...args) => run("cmake", args, { env: environment, cwd: folder });
  await cmake("--preset", preset, "--log-level=WARNING");
  await cmake("--build", `build/${preset}`, "--target", ...objects);
  await compare(
    folder,
    objects.map((name) => `build/${preset}/${name}`),
  );
  for (const binary of binaries)
    for (const extension of ["wasm", "mjs"]) {
      const name = `build/${binary}/bindings/headwise-${binary}.${extension}`;
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await cp(join(root, name), join(folder, name));
    }
}

async function filesOf(folder) {
  const entries = await readdir(join(folder, "dist"), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

main(async () => {
  const quick = process.argv.includes("--quick");
  const environment = await build();
  const folder = await mkdtemp(join(tmpdir(), "headwise elsewhere ")); // a space, too
  try {
    await step("Building the package in another folder", async () => {
      await copyRepository(folder);
      if (quick) await borrowBinaries(folder, environment);
      const work = quick
        ? "packageBinaries(process.env)"
        : "compile(process.env).then(() => packageBinaries(process.env))";
      const script = `import("./tools/build.mjs").then(({ compile, packageBinaries }) => ${work})`;
      await run(process.execPath, ["--input-type=module", "-e", script, "script"], { cwd: folder, env: environment });
    });
    await step("Comparing", async () => {
      const names = new Set();
      for (const at of [root, folder]) for (const name of await filesOf(at)) names.add(name.slice(at.length + 1));
      await compare(folder, names);
      const pack = async (at, name) => {
        await mkdir(join(folder, name));
        await run("npm", ["pack", "--silent", "--pack-destination", join(folder, name)], { cwd: at, capture: true });
        return (await readdir(join(folder, name))).map((file) => readFile(join(folder, name, file)))[0];
      };
      if (!(await pack(root, "here")).equals(await pack(folder, "there")))
        throw new Error("the same files are packed to other bytes");
    });
    console.log(`\nThe same bytes, also from another folder`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
