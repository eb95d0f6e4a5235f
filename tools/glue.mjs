// Changes Emscripten's JavaScript so that programs, pages and bundlers accept it, and removes what Headwise never uses.
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { root, writeIfChanged } from "./steps.mjs";

/** Replaces text that must occur exactly once. Otherwise fails, because the version of Emscripten is another one. */
function replaceOnce(text, from, to) {
  if (text.split(from).length !== 2) throw new Error(`Emscripten's output has changed: expected once: ${from}`);
  return text.replace(from, () => to);
}

/** Removes the code that fetches the WebAssembly: the loader supplies the module (`instantiateWasm`). The file then contains no address. */
function withoutFetching(glue) {
  const fetching =
    "wasmBinaryFile??=findWasmBinary();var result=await instantiateAsync(wasmBinary,wasmBinaryFile,info);" +
    "var exports=receiveInstantiationResult(result);return exports";
  const folder = 'try{scriptDirectory=new URL(".",_scriptName).href}catch{}';
  const steps = [fetching, folder, "var _scriptName=import.meta.url;"];
  return steps.reduce((text, step) => replaceOnce(text, step, ""), glue);
}

/** Removes the string decoders: we pass no strings, and jsdom has no TextDecoder. */
function withoutDecoders(glue) {
  const decoders = ["new TextDecoder;", 'new TextDecoder("utf-16le");'];
  return decoders.reduce((text, decoder) => replaceOnce(text, decoder, "undefined;"), glue);
}

/**
 * The calling side or the thread's side of the binaries with a pool. Emscripten makes one file, which starts itself again as each
 * thread; bundlers copy such a file, and Turbopack hangs. So the loader makes the workers (`makeThread`,
 * bindings/src/runtime/threads.ts). They run a file of their own (runtime/thread.ts), which passes its `channel` to Emscripten's code.
 */
function side(glue, isThread) {
  const isPthread = 'var ENVIRONMENT_IS_PTHREAD=ENVIRONMENT_IS_WORKER&&globalThis.name=="em-pthread";';
  const worker = /new Worker\(new URL\("[\w-]+\.mjs",import\.meta\.url\),\{type:"module",name:"em-pthread"\}\)/;
  const text = [
    [isPthread, isThread ? 'var self=Module["channel"],postMessage=self.postMessage;' : ""],
    ['var isPthread=globalThis.name=="em-pthread";isPthread&&Module();', ""],
    [worker.exec(glue)?.[0] ?? String(worker), isThread ? "undefined" : 'Module["makeThread"]()'],
  ].reduce((text, [from, to]) => replaceOnce(text, from, to), glue);
  return text.replaceAll("ENVIRONMENT_IS_PTHREAD", String(isThread));
}

/** Removes embind from the thread's side, which does not call it. */
function withoutEmbind(glue) {
  const text = [
    ["__embind_initialize_bindings();initializedJS=true", "initializedJS=true"],
    ["init_ClassHandle();init_RegisteredPointer();", ""],
    ["var Module=moduleArg;", "var Module=moduleArg;function unused(){}"],
  ].reduce((text, [from, to]) => replaceOnce(text, from, to), glue);
  return text.replace(/\b(\w):__embind_\w+/g, "$1:unused");
}

const halves = {
  single: { binaries: ["simd128", "relaxed"], change: (glue) => glue },
  threads: { binaries: ["simd128-threads", "relaxed-threads"], change: (glue) => side(glue, false) },
  thread: { binaries: ["simd128-threads", "relaxed-threads"], change: (glue) => withoutEmbind(side(glue, true)) },
};

/** Path of the file that the bundler resolves `./emscripten-<half>.mjs` to. */
export const glueFile = (half) => join(root, `build/glue/emscripten-${half}.mjs`);

export const glueNames = Object.keys(halves);

/** Writes the three files. Each serves both instruction sets, whose JavaScript differs only in the name of the .wasm file. */
export async function writeGlue() {
  const { minifySync } = await import("rolldown/utils");
  await mkdir(join(root, "build/glue"), { recursive: true });
  for (const [half, { binaries, change }] of Object.entries(halves)) {
    const [text, other] = await Promise.all(
      binaries.map(async (binary) => {
        const glue = await readFile(join(root, `build/${binary}/bindings/headwise-${binary}.mjs`), "utf8");
        return glue.replaceAll(`headwise-${binary}`, "headwise");
      }),
    );
    if (text !== other) throw new Error(`Emscripten's JavaScript of ${binaries.join(" and ")} differs`);
    // Functions keep their names: Vite makes classic scripts of workers, where a function in a block is visible outside and
    // would hide another binding with the same short name.
    const options = { module: true, mangle: { keepNames: { function: true, class: false } } };
    const { code } = minifySync(glueFile(half), change(withoutDecoders(withoutFetching(text))), options);
    for (const trace of ["import.meta", "importScripts", "process.", "new Worker"]) {
      if (code.includes(trace)) throw new Error(`Emscripten's output has changed: ${half} has ${trace}`);
    }
    await writeIfChanged(glueFile(half), code);
  }
}
