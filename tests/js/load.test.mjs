// How the binary is chosen and found.
import { describe, it } from "node:test";
import { readFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import { rolldown } from "rolldown";

import { load } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";
import { expectError } from "./cases/support.mjs";

const dist = new URL("../../dist/", import.meta.url);

/** A module of bindings/src that is not public. */
async function internal(file) {
  const build = await rolldown({ input: new URL(`../../bindings/src/${file}`, import.meta.url).pathname });
  const { output } = await build.generate({ format: "es" });
  return import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);
}
const { choose } = await internal("runtime/choose.ts");

describe("the choice of a binary", () => {
  const best = {
    environment: "browser-worker",
    simd: true,
    relaxedSimd: true,
    recentCompiler: true,
    threads: true,
    workers: true,
    crossOriginIsolated: true,
    cores: 4,
  };
  const auto = { threads: "auto", simd: "auto" };

  it("takes what there is, and says why", () => {
    const expectChoice = (machine, options, binary, threads, reason) => {
      const choice = choose({ ...auto, ...options }, { ...best, ...machine });
      expect(choice).to.include({ binary, threads, simd: binary.split("-")[0] });
      expect(choice.reason).to.match(reason);
    };
    expectChoice({}, {}, "relaxed-threads", 4, /relaxed SIMD; 4 threads for 4 cores/);
    expectChoice({ cores: 64 }, {}, "relaxed-threads", 8, /8 threads for 64 cores/);
    expectChoice({ cores: 1 }, {}, "relaxed", 1, /1 thread for 1 core/);
    expectChoice({ relaxedSimd: false }, {}, "simd128-threads", 4, /no relaxed SIMD/);
    expectChoice(
      { crossOriginIsolated: false },
      {},
      "relaxed",
      1,
      /Cross-Origin-Opener-Policy: same-origin.*Cross-Origin-Embedder-Policy: require-corp/,
    );
    expectChoice({ threads: false }, {}, "relaxed", 1, /no SharedArrayBuffer/);
    expectChoice({ environment: "browser-main" }, {}, "relaxed", 1, /headwise\/worker/);
    expectChoice({ workers: false }, {}, "relaxed", 1, /service workers, most shared workers/);
    expectChoice({ environment: "node", workers: false }, {}, "relaxed", 1, /--allow-worker/);
    expectChoice({ environment: "node", crossOriginIsolated: false }, {}, "relaxed-threads", 4, /4 threads/);
    expectChoice({}, { simd: "simd128" }, "simd128-threads", 4, /simd128 as asked/);
    expectChoice({}, { threads: 64 }, "relaxed-threads", 64, /64 threads as asked/);
    expectChoice({ crossOriginIsolated: false }, { threads: 1 }, "relaxed", 1, /1 thread as asked/);
  });

  it("takes tiles of 6 rows where a recent compiler has relaxed SIMD", () => {
    const rows = (machine, options) => choose({ ...auto, ...options }, { ...best, ...machine }).tileRows;
    expect(rows({}, {})).to.equal(6);
    expect(rows({ recentCompiler: false }, {})).to.equal(4);
    expect(rows({}, { simd: "simd128" })).to.equal(4);
  });

  it("refuses what was asked for and cannot be had", async () => {
    const refused = (machine, options, parts) =>
      expectError(expect, "unsupported", parts, () => choose({ ...auto, ...options }, { ...best, ...machine }));
    await refused({ relaxedSimd: false }, { simd: "relaxed" }, ["simd", "relaxed"]);
    await refused({ simd: false }, {}, "SIMD");
    await refused({ crossOriginIsolated: false }, { threads: 2 }, ["threads: 2", "Cross-Origin-Opener-Policy"]);
    await refused({ threads: false }, { threads: 2 }, "SharedArrayBuffer");
    await refused({ environment: "browser-main" }, { threads: 2 }, "headwise/worker");
  });
});

for (const [entry, open] of [
  ["headwise", load],
  ["headwise/worker", loadWorker],
]) {
  describe(`the source of the WebAssembly, ${entry}`, () => {
    const works = async (wasm) => {
      const hw = await open({ threads: 1, simd: "simd128", wasm });
      expect((await hw.memory()).liveObjects).to.equal(0);
      await hw.dispose();
    };
    it("may be a folder", async () => {
      await works(dist);
      await works(dist.href);
      await works(dist.href.slice(0, -1));
      await works("dist/");
    });
    it("may be a function from file name to address, bytes or module", async () => {
      await works((file) => new URL(file, dist));
      await works((file) => new URL(file, dist).href);
      const bytes = await readFile(new URL("headwise-simd128.wasm", dist));
      await works((file) => (expect(file).to.equal("headwise-simd128.wasm"), bytes));
      await works(() => new Uint8Array(bytes).buffer);
      const module = await WebAssembly.compile(bytes);
      await works(() => module);
    });
    it("that is missing or wrong is an invalid-file that names it, and is not remembered", async () => {
      await expectError(expect, "invalid-file", ["could not load", "nowhere/headwise-simd128.wasm"], () =>
        works(new URL("nowhere/", dist)),
      );
      await expectError(expect, "invalid-file", "could not load", () => works("http://127.0.0.1:1/"));
      await expectError(expect, "invalid-file", "bytes", () => works(() => new Uint8Array(8)));
      await works(undefined);
    });
    it("that is another module is refused, and no thread stays behind", async () => {
      const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
      for (const threads of [1, 2]) {
        await expectError(expect, "unsupported", "could not start headwise-simd128", () =>
          open({ threads, simd: "simd128", wasm: () => new WebAssembly.Module(empty) }),
        );
      }
    });
    it("runs in several instances at once", async () => {
      const instances = await Promise.all([1, 2, 3].map((threads) => open({ threads })));
      for (const hw of instances) {
        const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
        expect((await hw.memory()).liveObjects).to.equal(1);
        await mha.dispose();
      }
      for (const hw of instances) await hw.dispose();
    });
  });
}

it("the worker option takes a worker that is alive and serves no other instance", async () => {
  for (const worker of [5, null, {}, () => 5]) {
    await expectError(expect, "invalid-option", ["worker", "a Worker"], () => loadWorker({ worker }));
  }
  const worker = new Worker(new URL("worker-host.js", dist));
  const hw = await loadWorker({ worker, threads: 1 });
  await worker.terminate();
  await expectError(expect, "worker-lost", "ended", () => loadWorker({ worker }));
  await hw.dispose();
});

it("64 threads can be had, on any number of cores", { timeout: 60_000 }, async () => {
  const hw = await load({ threads: 64 });
  expect(hw.info.threads).to.equal(64);
  const x = { data: new Float32Array(8 * 256 * 64).fill(0.5), shape: [1, 8, 256, 64] };
  expect(hw.attention(x, x, x).output.data.every((value) => Math.abs(value - 0.5) < 1e-6)).to.equal(true);
  hw.dispose();
});
