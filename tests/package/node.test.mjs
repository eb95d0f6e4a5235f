// The installed package in Node: it computes, it ends, it leaves the program's own surroundings alone.
import { deepEqual, equal, ok } from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { difference, inputSource, makeProject, nodes, rows, width } from "./project.mjs";

const entries = ["headwise", "headwise/worker"];
const seconds = 20; // a script that has not ended by then hangs

/** A script that computes and prints what came out; `end` is its last statement. */
const script = (entry, options, end) => `
  import { load, tensor } from "${entry}";
  const hw = await load(${JSON.stringify(options)});
  const x = tensor(${inputSource}, [${rows}, ${width}]);
  const { output } = await hw.attention(x, x, x);
  console.log(JSON.stringify({ info: hw.info, output: [...output.data] }));
  ${end}`;

/** What a program printed as JSON, once it has ended well and printed nothing else. */
function parse({ code, stdout, text }) {
  equal(code, 0, `exit code ${code} (null: it did not end)\n${text}`);
  equal(text, stdout, "something went to standard error");
  return JSON.parse(stdout);
}

function check(result, { threads }) {
  const { info, output } = parse(result);
  equal(info.threads, threads, info.reason);
  ok(difference(output) < 1e-6, `differs by ${difference(output)}`);
}

let project;
before(async () => {
  project = await makeProject();
});
after(() => project?.remove());

for (const { path, version, major } of await nodes()) {
  const evaluate = (source, type = "module") => project.run(path, [`--input-type=${type}`, "-e", source], { seconds });
  let files = 0;
  const runFile = async (source) => {
    const name = `script-${major}-${files++}.js`;
    await project.write({ [name]: source });
    return project.run(path, [name], { seconds });
  };

  describe(`Node ${version}`, { concurrency: 2 }, () => {
    for (const entry of entries) {
      for (const threads of [1, 2]) {
        for (const [how, end] of [
          ["with dispose()", "await hw.dispose();"],
          ["without dispose()", ""],
          ["with modules left alive", "await hw.multiHeadAttention({ embedDim: 6, numHeads: 2 });"],
        ]) {
          test(`a script with ${entry}, ${threads} thread(s), computes and ends ${how}`, async () => {
            check(await runFile(script(entry, { threads }, end)), { threads });
          });
        }
      }

      test(`${entry} works in node --input-type=module -e`, async () => {
        check(await evaluate(script(entry, { threads: 2 }, "")), { threads: 2 });
      });

      test(`require("${entry}") works in CommonJS`, async () => {
        const [, imports, body] = /^(\s*import .*;)([^]*)$/.exec(script(entry, { threads: 2 }, ""));
        const names = imports.replace(/import (.*) from (.*);/, "const $1 = require($2);");
        check(await evaluate(`${names}(async () => {${body}})();`, "commonjs"), { threads: 2 });
      });

      test(`an exception ends a program with ${entry}`, async () => {
        const { code, text } = await evaluate(script(entry, { threads: 2 }, 'throw new Error("mine");'));
        equal(code, 1, text);
        ok(text.includes("Error: mine"), text);
      });

      // And so it starts nothing: all that it could start things with is there, or imported, which contents.test.mjs denies.
      test(`importing ${entry} looks at no global of the host`, async () => {
        const source = `
          import { runInNewContext } from "node:vm";
          const standard = new Set(runInNewContext("Object.getOwnPropertyNames(globalThis)"));
          const absent = ["window", "document", "location", "self"], host = Object.getOwnPropertyNames(globalThis);
          const touched = [];
          for (const name of [...host.filter((name) => !standard.has(name)), ...absent, "WebAssembly"]) {
            const value = globalThis[name];
            const get = () => (new Error().stack.includes("/headwise/dist/") && touched.push(name), value);
            Object.defineProperty(globalThis, name, { get, configurable: true });
          }
          const names = Object.keys(await import("${entry}"));
          console.log(JSON.stringify({ names, touched }));`;
        const { names, touched } = parse(await runFile(source));
        deepEqual(names, [
          "HeadwiseError",
          "exportParameters",
          "importParameters",
          "load",
          "readSafetensors",
          "tensor",
          "writeSafetensors",
        ]);
        deepEqual(touched, []);
      });

      test(`${entry} leaves globals and the program's listeners as they were`, async () => {
        const source = `
          const state = () => [Object.getOwnPropertyNames(globalThis), process.eventNames().map(String)];
          const before = state();
          const { load } = await import("${entry}");
          const imported = state();
          const hw = await load({ threads: 2 });
          const loaded = state();
          await hw.dispose();
          console.log(JSON.stringify({ before, imported, loaded, disposed: state() }));`;
        const { before, imported, loaded, disposed } = parse(await evaluate(source));
        ok(before[0].includes("process"));
        deepEqual(imported, before);
        deepEqual(loaded, before);
        deepEqual(disposed, before);
      });
    }
  });
}
