// Hosts that lack something or refuse it: `load` settles, with one thread and the reason or a HeadwiseError. Each host is a child
// process of Node with that taken away (browsers: tests/browser; other runtimes: tests/matrix).
import { describe, it } from "node:test";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

import { serve } from "../support/server.mjs";

const dist = new URL("../../dist/", import.meta.url);
const root = fileURLToPath(new URL("../..", import.meta.url));

/** Runs a program that prints JSON; `open(entry, options)` in it loads, computes and disposes, and says what came of it. */
function runIn(setup, body, flags = []) {
  const source = `
    ${setup}
    const open = async (entry, options) => {
      try {
        const { load } = await import(${JSON.stringify(dist.href)} + entry);
        const hw = await load(options);
        const x = { data: new Float32Array(6).fill(1), shape: [2, 3] };
        const [value] = (await hw.attention(x, x, x)).output.data;
        await hw.dispose();
        return { value, threads: hw.info.threads, reason: hw.info.reason };
      } catch ({ name, code, message }) {
        return { name, code, message };
      }
    };
    console.log(JSON.stringify(await (async () => { ${body} })()));`;
  return new Promise((resolve, reject) => {
    const args = [...flags, "--input-type=module", "-e", source];
    const child = execFile(process.execPath, args, { timeout: 20_000 }, (error, stdout, stderr) => {
      if (error || stderr) reject(new Error(`exit code ${child.exitCode}: ${stdout}${stderr}`));
      else resolve(JSON.parse(stdout));
    });
  });
}
const expectRefusal = (result, code, ...parts) => {
  expect(`${result.name} ${result.code}`, JSON.stringify(result)).to.equal(`HeadwiseError ${code}`);
  for (const part of parts) expect(result.message).to.contain(part);
};
const both = 'return [await open("index.js", {}), await open("worker.js", {})];';

/** Node without what makes it Node: an engine that has `globals` alone. */
const noNode = "Object.defineProperty(process, 'getBuiltinModule', { value: undefined });";

describe("a host", () => {
  it("without WebAssembly is refused in words", async () => {
    const [here, there] = await runIn("delete globalThis.WebAssembly;", both);
    expectRefusal(here, "unsupported", "no WebAssembly");
    expect(there.value).to.equal(1); // its worker has it
  });

  it("with a shim of process.versions.node is no Node", async () => {
    const result = await runIn(noNode, both);
    expectRefusal(result[0], "invalid-file", "could not load"); // no fetch of file: addresses
    expectRefusal(result[1], "unsupported", "no worker can be started here");
  });

  it("without workers computes on one thread, and says why", async () => {
    const wasm = `async (file) => (await fs.readFile(new URL(file, ${JSON.stringify(dist.href)})))`;
    const setup = `import fs from "node:fs/promises"; ${noNode}`;
    const [auto, two] = await runIn(
      setup,
      `return [await open("index.js", { wasm: ${wasm} }), await open("index.js", { threads: 2 })];`,
    );
    expect(auto).to.include({ value: 1, threads: 1 });
    expect(auto.reason).to.match(/1 thread: no worker can be started here: service workers/);
    expectRefusal(two, "unsupported", "threads: 2", "service workers");
  });

  it("whose permissions forbid workers computes on one thread, and says why", async () => {
    const flag = Number.parseInt(process.versions.node) < 23 ? "--experimental-permission" : "--permission";
    const flags = [flag, `--allow-fs-read=${root}*`, "--no-warnings"];
    const [here, two, there] = await runIn(
      "",
      'return [await open("index.js", {}), await open("index.js", { threads: 2 }), await open("worker.js", {})];',
      flags,
    );
    expect(here).to.include({ value: 1, threads: 1 });
    expect(here.reason).to.contain("--allow-worker");
    expectRefusal(two, "unsupported", "threads: 2", "--allow-worker");
    expectRefusal(there, "unsupported", "worker-host.js", "could not be started");
  });

  it("that refuses threads when they start computes on one, and says why", async () => {
    const setup = `
      import threads from "node:worker_threads";
      const { Worker } = threads;
      threads.Worker = class {
        constructor(url, options) {
          if (url.href.endsWith("thread.js")) throw new DOMException("not here", "SecurityError");
          return new Worker(url, options);
        }
      };`;
    const [auto, two] = await runIn(
      setup,
      'return [await open("index.js", { threads: "auto" }), await open("index.js", { threads: 2 })];',
    );
    expect(auto).to.include({ value: 1, threads: 1 });
    expect(auto.reason).to.contain("1 thread");
    expectRefusal(two, "unsupported", "a thread could not be started: not here");
  });

  it("whose workers never answer is given up after the limit, with the address", async () => {
    const setup = `
      import threads from "node:worker_threads";
      const { Worker } = threads;
      let silent = "worker-host.js";
      threads.Worker = class {
        constructor(url, options) {
          return url.href.endsWith(silent) ? new Worker("setInterval(() => {}, 1e6)", { eval: true }) : new Worker(url, options);
        }
      };`;
    const [host, thread] = await runIn(
      setup,
      `return [
         await open("worker.js", { timeout: 300 }),
         await ((silent = "thread.js"), open("index.js", { timeout: 300, threads: 2 })),
       ];`,
    );
    expectRefusal(
      host,
      "worker-lost",
      "no answer within 300 ms",
      `${dist.href}worker-host.js`,
      "404",
      "Embedder-Policy",
    );
    expectRefusal(thread, "worker-lost", "no answer within 300 ms", "thread.js", "optimizeDeps");
  });

  it("where the worker's script is missing is told its address", async () => {
    const setup = `
      import threads from "node:worker_threads";
      const { Worker } = threads;
      threads.Worker = class {
        constructor(url, options) {
          return new Worker(new URL("nowhere.js", url), options);
        }
      };`;
    const result = await runIn(setup, 'return open("worker.js", {});');
    expectRefusal(result, "worker-lost", `the worker ${dist.href}worker-host.js is gone`, "nowhere.js");
  });

  it("that loses the package's address is told to give one", async () => {
    const { rolldown } = await import("rolldown");
    const folder = await mkdtemp(join(tmpdir(), "headwise-"));
    try {
      const build = await rolldown({ input: fileURLToPath(new URL("worker.js", dist)) });
      const { output } = await build.generate({ format: "es", entryFileNames: "bundle.mjs" });
      for (const { fileName, code } of output)
        await writeFile(join(folder, fileName), code.replaceAll("import.meta.url", "undefined"));
      const file = join(folder, "bundle.mjs");
      const message = await runIn(
        "",
        `const { load } = await import(${JSON.stringify(file)});
         return load().catch(({ name, code, message }) => ({ name, code, message }));`,
      );
      expectRefusal(message, "unsupported", "worker-host.js");
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("where other code fails meanwhile loads all the same", async () => {
    const setup = `
      const target = new EventTarget();
      for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"]) globalThis[name] = target[name].bind(target);
      const ad = setInterval(() => dispatchEvent(Object.assign(new Event("error"), { message: "ad script" })), 0);`;
    const result = await runIn(setup, `${both.replace(";", "")}.map((result) => (clearInterval(ad), result));`);
    for (const { value, threads } of result)
      expect({ value, threads: threads > 0 }).to.deep.equal({ value: 1, threads: true });
  });

  it("that is no worker does not run the worker's script", async () => {
    const importing = `return import(${JSON.stringify(new URL("worker-host.js", dist).href)}).then(
      () => "imported", ({ name, code, message }) => ({ name, code, message }))`;
    const inWindow =
      "globalThis.document = {}; globalThis.addEventListener = () => { throw new Error('it listens'); };";
    for (const setup of ["", inWindow, inWindow + noNode])
      expectRefusal(await runIn(setup, importing), "unsupported", "headwise/worker-host");
  });

  it("without a FinalizationRegistry and text codecs, as edge runtimes and jsdom, computes", async () => {
    const missing = ["FinalizationRegistry", "TextDecoder", "TextEncoder"].map((name) => `delete globalThis.${name};`);
    for (const result of await runIn(missing.join(""), both)) expect(result.value, result.message).to.equal(1);
  });

  it("without shared memory and Atomics, as pages in Safari that are not isolated, computes on one thread", async () => {
    const [here] = await runIn("delete globalThis.Atomics; delete globalThis.SharedArrayBuffer;", both);
    expect(here, JSON.stringify(here)).to.include({ value: 1, threads: 1 });
  });

  it("that refuses the memory says that there is none", async () => {
    const refusing = `WebAssembly.Memory = class { constructor() { throw new RangeError("could not allocate memory"); } };`;
    for (const threads of [1, 2]) {
      const result = await runIn(refusing, `return open("index.js", { threads: ${threads} });`);
      expectRefusal(result, "out-of-memory", "could not start headwise-", "could not allocate memory");
    }
  });
});

it("the tests' server answers what is no path", async () => {
  const server = await serve(root);
  try {
    for (const path of ["%", "%E0%A4%A", "/", "?%"]) {
      const { status } = await fetch(`${server.url}${path}`);
      expect(status, path).to.equal(404);
    }
  } finally {
    await server.close();
  }
});
