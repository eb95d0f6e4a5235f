// The cases of the public API in a browser, isolated under the Content Security Policy and without either; and what `load` must
// choose by itself.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { cases } from "../js/cases.mjs";
import { openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What the browsers are known to have; WebKitGTK has no SharedArrayBuffer, on isolated pages either. */
const features = {
  chromium: { simds: ["relaxed", "simd128"], sharedMemory: true, symbolDispose: true },
  firefox: { simds: ["relaxed", "simd128"], sharedMemory: true, symbolDispose: true },
  webkit: { simds: ["simd128"], sharedMemory: false, symbolDispose: false },
};

/**
 * The places and binaries that the cases run in. On the isolated page that is all, except that a page's own worker has each number
 * of threads with one binary: `headwise/worker`, which is such a worker, has all four. One binary of each entry has the cases that run
 * `once`. On the other page, which has the same binaries without threads, each place has one binary, and every fourth of the cases.
 */
function runsOf(isolated, { simds, sharedMemory }) {
  const threadCounts = isolated && sharedMemory ? [1, 2] : [1];
  const every = (counts) => simds.flatMap((simd) => counts.map((threads) => ({ simd, threads })));
  const one = (n) => ({ simd: simds[n % simds.length], threads: 1 });
  const runs = {
    headwise: isolated ? every([1]) : [one(0)],
    "headwise in a worker": isolated ? threadCounts.map((threads) => ({ ...one(threads), threads })) : [one(1)],
    "headwise/worker": isolated ? every(threadCounts) : [one(0)],
  };
  return Object.entries(runs).flatMap(([place, chosen]) =>
    chosen.map((run, at) => ({ place, ...run, all: isolated && at === 0 && place !== "headwise in a worker" })),
  );
}

/** All of it in one browser. A test file for each, so that they run at the same time. */
export function apiTestsIn(name) {
  describe(name, () => {
    let browser;
    before(async () => (browser = await openBrowser(name)));
    after(() => browser?.close());

    for (const isolated of [true, false]) {
      describe(isolated ? "isolated, under the policy" : "not isolated", () => {
        const { simds, sharedMemory, symbolDispose } = features[name];
        const threaded = isolated && sharedMemory;
        let server, page;
        before(async () => (server = await serve(root, { isolated, csp: isolated })));
        after(() => server?.close());

        const openPage = async () => (page = await browser.page(`${server.url}tests/browser/api.html`));
        const closePage = () => page?.close();

        describe("chooses", () => {
          before(openPage);
          after(closePage);

          const chosen = (entry) =>
            page.evaluate(async (entry) => {
              const hw = await loads[entry]();
              await hw.dispose();
              return { ...hw.info, cores: navigator.hardwareConcurrency };
            }, entry);

          it("in the environment that we think of", async () => {
            assert.deepEqual(
              await page.evaluate(() => ({
                isolated: crossOriginIsolated,
                threaded: typeof SharedArrayBuffer !== "undefined",
                symbolDispose: typeof Symbol.dispose !== "undefined",
              })),
              { isolated, threaded, symbolDispose },
            );
          });
          it("one thread on the page's main thread, and points to the worker", async () => {
            const { simd, threads, reason } = await chosen("headwise");
            assert.deepEqual([simd, threads], [simds[0], 1]);
            assert.match(reason, /headwise\/worker/);
          });
          it(`${threaded ? "all cores" : "one thread"} in the worker, and says why`, async () => {
            const { simd, threads, cores, reason } = await chosen("headwise/worker");
            assert.deepEqual([simd, threads], [simds[0], threaded ? Math.min(cores, 8) : 1]);
            const why = threaded
              ? /\d+ threads? for \d+ cores?/
              : isolated
                ? /SharedArrayBuffer/
                : /Cross-Origin-Opener-Policy: same-origin.*Cross-Origin-Embedder-Policy: require-corp/;
            assert.match(reason, why);
          });
          it("nothing but what was asked for", async () => {
            const refused = async (entry, options, message) => {
              const load = ([entry, options]) => outcome(loads[entry](options));
              const { code, ...rest } = await page.evaluate(load, [entry, options]);
              assert.equal(code, "unsupported", JSON.stringify(rest));
              assert.match(rest.message, message);
            };
            await refused("headwise", { threads: 2 }, /threads: 2.*headwise\/worker/);
            if (!threaded) await refused("headwise/worker", { threads: 2 }, /threads: 2/);
            if (!simds.includes("relaxed")) {
              for (const entry of ["headwise", "headwise/worker"]) await refused(entry, { simd: "relaxed" }, /simd/);
            }
          });
        });

        for (const { place, simd, threads, all } of runsOf(isolated, features[name])) {
          describe(`${place}, ${simd}, ${threads} thread${threads > 1 ? "s" : ""}`, () => {
            let info;
            const openRunner = async () => {
              if (place === "headwise in a worker") await page.evaluate(() => startCaseWorker());
              server.requests.length = 0;
              const [entry] = place.split(" ");
              info = await page.evaluate((...args) => caseRunner.open(...args), entry, { simd, threads });
            };
            before(async () => (await openPage(), await openRunner()));
            after(closePage);

            it("is what was asked for, in one download", () => {
              assert.deepEqual([info.simd, info.threads], [simd, threads]);
              assert.deepEqual(
                server.requests.filter((path) => path.endsWith(".wasm")),
                [`/dist/headwise-${simd}${threads > 1 ? "-threads" : ""}.wasm`],
              );
            });
            const selected = cases.filter(({ once }, at) => all || (!once && (isolated || at % 4 === 0)));
            for (const { name } of selected) {
              it(name, async () => {
                const wrong = await page.evaluate((name) => caseRunner.run(name), name);
                assert.ok(wrong === undefined, wrong);
              });
            }
            it("leaves no error on the page", async () => {
              await page.evaluate(() => caseRunner.close());
              assert.deepEqual([...page.messages, ...(await page.evaluate(() => messages))], []);
            });
          });
        }
      });
    }
  });
}
