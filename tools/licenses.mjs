// The licences of other people's code in our files. The bundler says which npm packages that are; the core's parts are known.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import license from "rollup-plugin-license";

import { root } from "./steps.mjs";

/** What every binary contains besides our own code. LLVM's libraries (libc++, compiler-rt) ask for no notice in compiled code. */
async function ofTheCore({ HEADWISE_EMSCRIPTEN_CMAKE }) {
  const emscripten = join(dirname(HEADWISE_EMSCRIPTEN_CMAKE), "../../..");
  const text = (...path) => readFile(join(...path), "utf8");
  return [
    { name: "xsimd", license: "BSD-3-Clause", text: await text(root, "tools/licenses/xsimd.txt") },
    { name: "Emscripten", license: "MIT", text: await text(root, "tools/licenses/emscripten.txt") },
    { name: "musl", license: "MIT", text: await text(emscripten, "system/lib/libc/musl/COPYRIGHT") },
  ];
}

/** Gathers the licences of the npm packages that bundles contain. */
export function gatherLicenses() {
  const found = new Map();
  const add = ({ name, version, license, licenseText }) => {
    if (!licenseText) throw new Error(`the npm package ${name} has no file with its licence`);
    found.set(name, { name: `${name} ${version}`, license, text: licenseText });
  };
  return {
    /** A plugin of Rollup, Rolldown and Vite: one for each build. */
    plugin: () => license({ cwd: root, thirdParty: { output: (dependencies) => dependencies.forEach(add) } }),
    /** All that was found, by name. */
    all: () => [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

const rule = "-".repeat(80);
const section = ({ name, license, text }) => `${rule}\n${name} (${license})\n\n${text.trim()}\n`;

/** The file for the package: the core's parts, then the npm packages. */
export async function packageLicenses(environment, gathered) {
  const parts = [...(await ofTheCore(environment)), ...gathered.all()];
  return `Headwise contains code of these projects, under these licences.\n\n${parts.map(section).join("\n")}`;
}

/** The file for the page: the package's, then what only the page contains. `data`: npm packages whose files it shows. */
export async function pageLicenses(gathered, data) {
  const read = async (name) => {
    const folder = join(root, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    return { name: `${name} ${version}`, license, text: await readFile(join(folder, "LICENSE"), "utf8") };
  };
  const parts = [...gathered.all(), ...(await Promise.all(data.map(read)))];
  const ofPackage = await readFile(join(root, "dist/THIRD_PARTY_LICENSES.txt"), "utf8");
  return `${ofPackage}\n${rule}\nThe page also contains these.\n\n${parts.map(section).join("\n")}`;
}
