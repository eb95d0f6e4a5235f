// How `load` finds its files in browsers: what is downloaded and from where, and whatever else happens on the page.
import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { serve } from "../support/server.mjs";
import { inEachBrowser, root } from "./each_browser.mjs";

const dist = join(root, "dist");
const entries = ["headwise", "headwise/worker"];

/** Asks for a computation in a worker that serves several pages. */
const portsOf = {
  "service worker": async () => {
    await navigator.serviceWorker.register("/tests/browser/serving_worker.js", { type: "module" });
    const { active } = await navigator.serviceWorker.ready;
    const answer = new Promise((resolve) => (navigator.serviceWorker.onmessage = ({ data }) => resolve(data)));
    active.postMessage("compute");
    return answer;
  },
  "shared worker": () => {
    const { port } = new SharedWorker("/tests/browser/serving_worker.js", { type: "module" });
    port.postMessage("compute");
    return new Promise((resolve) => (port.onmessage = ({ data }) => resolve(data)));
  },
};

inEachBrowser((name, here) => {
  let folder, served;
  before(async () => {
    await mkdir(join(root, "build"), { recursive: true });
    folder = await mkdtemp(join(root, "build/browser-test-"));
    served = `/build/${basename(folder)}`;
  });
  after(() => folder && rm(folder, { recursive: true }));

  const downloads = () => here.server.requests.filter((path) => path.endsWith(".wasm") || path.endsWith(".bin"));
  const copyBinaries = async (to, change = (file) => file) => {
    await mkdir(join(folder, to), { recursive: true });
    const files = (await readdir(dist)).filter((file) => file.endsWith(".wasm"));
    await Promise.all(files.map((file) => copyFile(join(dist, file), join(folder, to, change(file)))));
  };

  for (const entry of entries) {
    describe(entry, () => {
      /** Loads in the page, from a folder or from each file with a suffix; computes a little. */
      const loadAndUse = (wasm) =>
        here.page.evaluate(
          (entry, wasm) =>
            outcome(
              (async () => {
                const { folder, suffix } = wasm ?? {};
                const option = suffix === undefined ? folder : (file) => `${folder}/${file}${suffix}`;
                const hw = await loads[entry]({ wasm: option });
                await attend(hw, 1);
                await hw.dispose();
                return `headwise-${hw.info.simd}${hw.info.threads > 1 ? "-threads" : ""}`;
              })(),
            ),
          entry,
          wasm,
        );

      it("downloads one binary and its JavaScript, nothing of the others", async () => {
        const { value: binary } = await loadAndUse();
        assert.deepEqual(downloads(), [`/dist/${binary}.wasm`]);
        assert.equal(here.server.requests.includes("/dist/thread.js"), binary.endsWith("-threads"));
        await here.assertClean();
      });

      it("takes the binaries from another folder", async () => {
        await copyBinaries("elsewhere");
        for (const address of [`${served}/elsewhere`, `${served}/elsewhere/`]) {
          const { value: binary, message } = await loadAndUse({ folder: address });
          assert.ok(binary, message);
          assert.deepEqual([...new Set(downloads())], [`${served}/elsewhere/${binary}.wasm`]);
        }
        await here.assertClean();
      });

      it("takes a binary that the host serves as some other type", async () => {
        await copyBinaries("unknown", (file) => `${file}.bin`);
        const { value: binary, message } = await loadAndUse({ folder: `${served}/unknown`, suffix: ".bin" });
        assert.ok(binary, message);
        assert.deepEqual(downloads(), [`${served}/unknown/${binary}.wasm.bin`]);
        await here.assertClean();
      });

      it("takes bytes and a compiled module, and leaves them to the caller", async () => {
        const result = await here.page.evaluate(async (entry) => {
          const url = "/dist/headwise-simd128.wasm";
          const bytes = await (await fetch(url)).arrayBuffer();
          const module = await WebAssembly.compile(bytes);
          const asked = [];
          for (const source of [bytes, new Uint8Array(bytes), module]) {
            const wasm = (file) => (asked.push(file), source);
            const hw = await loads[entry]({ threads: 1, simd: "simd128", wasm });
            await attend(hw, 1);
            await hw.dispose();
          }
          return { asked, left: bytes.byteLength };
        }, entry);
        assert.deepEqual(result.asked, Array(3).fill("headwise-simd128.wasm"));
        assert.ok(result.left > 0);
        assert.equal(downloads().length, 1, "the test's own");
        await here.assertClean();
      });

      it("says which address has no binary, and loads from there once it has", async () => {
        const late = `late-${entries.indexOf(entry)}`;
        const { code, message } = await loadAndUse({ folder: `${served}/${late}` });
        assert.equal(code, "invalid-file");
        const [path] = downloads();
        assert.ok(message.includes(`${new URL(path, here.server.url)}`) && message.includes("404"), message);
        assert.ok((await loadAndUse()).value, "the package's own");
        await copyBinaries(late);
        const again = await loadAndUse({ folder: `${served}/${late}` });
        assert.ok(again.value, again.message);
      });

      it("leaves the inputs as they are", async () => {
        const result = await here.page.evaluate(async (entry) => {
          const hw = await loads[entry]();
          const buffer = Float32Array.from({ length: 24 }, (_, i) => i).buffer;
          const [query, key, value] = [0, 8, 16].map((i) => ({
            data: new Float32Array(buffer, 4 * i, 8),
            shape: [2, 4],
          }));
          const mask = { data: new Uint8Array(4).fill(1), shape: [2, 2] };
          await hw.attention(query, key, value, { mask });
          await hw.dispose();
          return [Array.from(new Float32Array(buffer)), Array.from(mask.data)];
        }, entry);
        assert.deepEqual(result, [Array.from({ length: 24 }, (_, i) => i), [1, 1, 1, 1]]);
        await here.assertClean();
      });
    });
  }

  it("headwise: instances share the compiled module", async () => {
    await here.page.evaluate(async () => {
      const instances = await Promise.all([loads.headwise(), loads.headwise()]);
      instances.push(await loads.headwise());
      for (const hw of instances) hw.dispose();
    });
    assert.equal(downloads().length, 1);
    await here.assertClean();
  });

  it("headwise/worker: a worker that cannot start rejects load", async () => {
    const { code, message } = await here.page.evaluate(() =>
      outcome(loads["headwise/worker"]({ worker: new Worker("/nowhere.js", { type: "module" }) })),
    );
    assert.equal(code, "worker-lost");
    assert.match(message, /the worker given is gone.*could not be loaded.*404.*Cross-Origin-Embedder-Policy/);
  });

  it("headwise/worker: a worker that is no host rejects load within the limit, and lives on", async () => {
    const { code, message, answer } = await here.page.evaluate(async () => {
      const worker = new Worker("/tests/browser/echo_worker.js", { type: "module" });
      const result = await outcome(loads["headwise/worker"]({ worker, timeout: 300 }));
      const answer = new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
      worker.postMessage("there?");
      return { ...result, answer: await answer };
    });
    assert.equal(code, "worker-lost");
    assert.match(message, /no answer within 300 ms from the worker given.*headwise\/worker-host/);
    assert.equal(answer, "there?");
    await here.assertClean();
  });

  it("headwise/worker: loads where Web Locks are refused, and still notices a terminated worker", async () => {
    const { value, lost, message } = await here.page.evaluate(async () => {
      const worker = new Worker("/tests/browser/lockless_worker.js", { type: "module" });
      const loaded = await outcome(loads["headwise/worker"]({ worker }).then((hw) => (window.hw = hw) && "loaded"));
      if (!loaded.value) return loaded;
      const done = await outcome(attend(window.hw, 1));
      worker.terminate();
      return { ...done, lost: (await outcome(window.hw.memory())).code };
    });
    assert.equal(value, "done", message);
    assert.equal(lost, "worker-lost");
    await here.assertClean();
  });

  it("headwise/worker: loads in a worker of an opaque origin, which has neither locks nor workers of its own", async () => {
    if (name === "webkit") return; // WebKitGTK 2.4x starts no module worker from a data: address
    const open = await serve(root, { isolated: true, headers: { "Access-Control-Allow-Origin": "*" } });
    const other = await here.browser.page(`${open.url}tests/browser/api.html`);
    try {
      const { value, message } = await other.evaluate(() => {
        const source = `import ${JSON.stringify(new URL("/dist/worker-host.js", location).href)};`;
        const worker = () => new Worker(`data:text/javascript,${encodeURIComponent(source)}`, { type: "module" });
        return outcome(
          (async () => {
            const hw = await loads["headwise/worker"]({ worker });
            await attend(hw, 1);
            await hw.dispose();
            return hw.info.threads;
          })(),
        );
      });
      assert.equal(value, 1, message);
    } finally {
      await other.close();
      await open.close();
    }
  });

  it("headwise/worker: threads whose script is missing cost auto its threads, not the load", async () => {
    await mkdir(join(folder, "threadless"), { recursive: true });
    for (const file of await readdir(dist))
      if (/\.(js|wasm)$/.test(file) && file !== "thread.js")
        await copyFile(join(dist, file), join(folder, "threadless", file));
    const { auto, two } = await here.page.evaluate(async (address) => {
      const { load } = await import(address);
      const open = (options) =>
        outcome(
          (async () => {
            const hw = await load(options);
            await attend(hw, 1);
            await hw.dispose();
            return hw.info;
          })(),
        );
      return { auto: await open({ threads: "auto" }), two: await open({ threads: 2 }) };
    }, `${served}/threadless/worker.js`);
    assert.equal(auto.value?.threads, 1, auto.message);
    assert.equal(two.code, "unsupported", two.message);
    if (name !== "webkit") assert.match(`${auto.value.reason} ${two.message}`, /thread.js.*thread.js/);
  });

  it("its script is refused in a window", async () => {
    const { name: error, message } = await here.page.evaluate(() =>
      import("/dist/worker-host.js").then(
        () => ({ message: "it runs" }),
        ({ name, message }) => ({ name, message }),
      ),
    );
    assert.equal(error, "HeadwiseError", message);
    assert.match(message, /headwise\/worker-host/);
  });

  for (const entry of entries) {
    it(`${entry}: loads while other code on the page fails`, async () => {
      const results = await here.page.evaluate(async (entry) => {
        addEventListener("error", (event) => event.preventDefault());
        const ad = setInterval(() => {
          throw new Error("ad script");
        });
        const results = [];
        for (let n = 0; n < 10; ++n)
          results.push(await outcome(loads[entry]().then(async (hw) => (await hw.dispose(), "loaded"))));
        clearInterval(ad);
        return results.map(({ value, message }) => value ?? message);
      }, entry);
      assert.deepEqual(results, Array(10).fill("loaded"));
    });
  }

  // Firefox and WebKitGTK have no service workers that are modules, or none in a window that is driven.
  for (const [kind, open] of name === "chromium" ? Object.entries(portsOf) : []) {
    it(`headwise: a ${kind} computes on one thread, and says why`, async () => {
      const { threads, reason, value } = await here.page.evaluate(open);
      assert.equal(value, 1);
      assert.equal(threads, 1);
      assert.match(reason, /1 thread: no worker can be started here/);
    });
  }
});
