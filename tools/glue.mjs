// Changes Emscripten's JavaScript so that programs, pages and bundlers accept it, and removes what Headwise never uses.
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { root, writeIfChanged } from "./steps.mjs";

const changed = (what) => new Error(`Emscripten's output has changed: ${what}`);

/** Replaces texts, each of which must occur exactly once. Otherwise fails, because the version of Emscripten is another one. */
function replaceOnce(text, ...replacements) {
  for (const [from, to] of replacements) {
    if (text.split(from).length !== 2) throw changed(`expected once: ${from}`);
    text = text.replace(from, () => to);
  }
  return text;
}

/** Removes the code that fetches the WebAssembly: the loader supplies the module (`instantiateWasm`). The file then contains no address. */
const withoutFetching = (glue) =>
  replaceOnce(
    glue,
    [
      "wasmBinaryFile??=findWasmBinary();var result=await instantiateAsync(wasmBinary,wasmBinaryFile,info);" +
        "var exports=receiveInstantiationResult(result);return exports",
      "",
    ],
    ['try{scriptDirectory=new URL(".",_scriptName).href}catch{}', ""],
    ["var _scriptName=import.meta.url;", ""],
  );

/**
 * The calling side or the thread's side. Emscripten makes one file, which starts itself again as each thread; bundlers copy
 * such a file, and Turbopack hangs. So the loader makes the workers (`makeThread`, bindings/src/runtime/threads.ts). They
 * run a file of their own (runtime/thread.ts), which passes its `channel` to Emscripten's code.
 */
function side(glue, isThread) {
  return replaceOnce(
    withoutFetching(glue),
    [
      'var ENVIRONMENT_IS_PTHREAD=ENVIRONMENT_IS_WORKER&&globalThis.name=="em-pthread";',
      isThread ? 'var self=Module["channel"],postMessage=self.postMessage;' : "",
    ],
    ['var isPthread=globalThis.name=="em-pthread";isPthread&&Module();', ""],
    [
      /new Worker\(new URL\("[\w-]+\.mjs",import\.meta\.url\),\{type:"module",name:"em-pthread"\}\)/,
      isThread ? "undefined" : 'Module["makeThread"]()',
    ],
  ).replaceAll("ENVIRONMENT_IS_PTHREAD", String(isThread));
}

/** The calling side of all four binaries. Those with one thread import less, and some pages without threads have no `Atomics`. */
const caller = (glue) =>
  replaceOnce(
    side(glue, false),
    ["!Atomics.waitAsync||", "!globalThis.Atomics?.waitAsync||"],
    // What embind does for smart pointers, derived classes and several handles of one object: we have none.
    ["else{this.toWireType=genericPointerToWireType}", ""],
    [
      "fromWireType:RegisteredPointer_fromWireType",
      "fromWireType(ptr){return ptr?makeClassHandle(this.registeredClass.instancePrototype,{ptrType:this,ptr}):null}",
    ],
    [/isAliasOf\(other\)\{.*?(?=delete\(\)\{)/, ""],
    [/,isDeleted\(\)\{.*?return this\}(?=\}\);)/, ""],
  );

/** The thread's side, without embind, which it does not call. */
const thread = (glue) =>
  replaceOnce(
    side(glue, true),
    ["init_ClassHandle();init_RegisteredPointer();", ""],
    ["var Module=moduleArg;", "var Module=moduleArg;function unused(){}"],
  ).replace(/\b(\w+):__embind_\w+/g, "$1:unused");

const halves = { caller, thread };

/** Path of the file that the bundler resolves `./emscripten-<half>.mjs` to. */
export const glueFile = (half) => join(root, `build/glue/emscripten-${half}.mjs`);

export const glueNames = Object.keys(halves);

const output = (binary, extension) => join(root, `build/${binary}/bindings/headwise-${binary}.${extension}`);

/** Emscripten's JavaScript for a pool of threads. It is the same for both instruction sets, but for the name of the .wasm file. */
async function readGlue() {
  const binaries = ["simd128-threads", "relaxed-threads"];
  const [text, other] = await Promise.all(
    binaries.map(async (name) =>
      (await readFile(output(name, "mjs"), "utf8")).replaceAll(`headwise-${name}`, "headwise"),
    ),
  );
  if (text !== other) throw changed(`the JavaScript of ${binaries.join(" and ")} differs`);
  return text;
}

/** Fails unless the binaries with one thread import only what those with a pool import, by unminified names. */
async function checkImports() {
  const imports = async (binary) => {
    const module = await WebAssembly.compile(await readFile(output(binary, "wasm")));
    return WebAssembly.Module.imports(module).map(({ module, name }) => `${module}.${name}`);
  };
  const [one, pool] = await Promise.all([imports("simd128"), imports("simd128-threads")]);
  const others = one.filter((name) => !name.startsWith("env.") || !pool.includes(name));
  if (others.length > 0) throw changed(`simd128 imports ${others}, which simd128-threads does not`);
}

/** Writes the two files. */
export async function writeGlue() {
  const { minifySync } = await import("rolldown/utils");
  await mkdir(join(root, "build/glue"), { recursive: true });
  await checkImports();
  const glue = await readGlue();
  for (const [half, change] of Object.entries(halves)) {
    // Functions keep their names: Vite makes classic scripts of workers, where a function in a block is visible outside and
    // would hide another binding with the same short name.
    const options = { module: true, mangle: { keepNames: { function: true, class: false } } };
    const { code } = minifySync(glueFile(half), change(glue), options);
    // jsdom has no TextDecoder.
    for (const trace of ["import.meta", "importScripts", "process.", "new Worker", "TextDecoder"]) {
      if (code.includes(trace)) throw changed(`${half} has ${trace}`);
    }
    await writeIfChanged(glueFile(half), code);
  }
}
