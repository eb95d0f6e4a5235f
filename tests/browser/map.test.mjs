// `<headwise-map>` in all browsers, on the example's page: given weights, a model's head live, keyboard, mistakes.
import assert from "node:assert/strict";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { load } from "../../dist/index.js";
import { unpack } from "../../tools/goldens.mjs";
import { root } from "../../tools/steps.mjs";
import { goldens } from "../models/goldens.mjs";
import { tokenizerFiles } from "../models/cases/word_tokenizer.mjs";
import { browserNames, openBrowser } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";

let folder, models, server, hw;

before(async () => {
  await unpack();
  folder = await mkdtemp(join(tmpdir(), "headwise-map-"));
  await cp(fileURLToPath(new URL("gpt2/", goldens)), join(folder, "gpt2"), { recursive: true });
  for (const [file, bytes] of Object.entries(tokenizerFiles)) await writeFile(join(folder, "gpt2", file), bytes);
  models = await serve(folder, { headers: { "Access-Control-Allow-Origin": "*" } });
  server = await serve(root);
  hw = await load({ threads: 1 });
});
after(async () => {
  await models?.close();
  await server?.close();
  hw?.dispose();
  await rm(folder, { recursive: true, force: true });
});

for (const name of browserNames) {
  describe(name, () => {
    it("draws given weights and a model's head, and is read by keyboard", async () => {
      const browser = await openBrowser(name);
      try {
        const page = await browser.page(`${server.url}examples/attention-map/?model=${models.url}gpt2/`);
        const shown = await page.evaluate(async () => {
          const until = async (done) => {
            for (let i = 0; !done() && i < 500; i++) await new Promise((later) => setTimeout(later, 20));
          };
          const of = (id) => document.getElementById(id);
          const read = (id) => of(id).shadowRoot?.querySelector("p").textContent;
          await until(() => read("given"));
          const canvas = of("given").shadowRoot.querySelector("canvas");
          const cells = [];
          of("given").addEventListener("cell", ({ detail }) => cells.push(detail));
          for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"])
            canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
          const given = {
            text: read("given"),
            cells,
            size: [canvas.width, canvas.height],
            label: canvas.ariaLabel ?? canvas.getAttribute("aria-label"),
          };
          of("given").weights = { data: Float32Array.of(1, 2, 3), shape: [2, 2] };
          await until(() => read("given").includes("expected"));
          const wrong = read("given");

          of("text").value = "word5 word9 word7";
          of("layer").value = "1";
          of("head").value = "2";
          for (const id of ["text", "layer", "head"]) of(id).dispatchEvent(new Event("input"));
          const live = of("live").shadowRoot.querySelector("canvas");
          await until(() => live.width === 3);
          const weights = [];
          of("live").addEventListener("cell", ({ detail }) => weights.push(detail.weight));
          for (const key of ["ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight"])
            live.dispatchEvent(new KeyboardEvent("keydown", { key }));
          return { given, wrong, weights, text: read("live") };
        });
        assert.equal(shown.given.text, "query C → key B: 0.70");
        assert.deepEqual(shown.given.size, [3, 3]);
        assert.match(shown.given.label, /3 queries by 3 keys/);
        assert.deepEqual(
          shown.given.cells.map(({ query, key }) => [query, key]),
          [
            [1, 0],
            [2, 0],
            [2, 1],
          ],
        );
        assert.match(shown.wrong, /weights: expected \[L, S\] or \[H, L, S\], got shape \[2, 2\]/);

        const model = await hw.openModel(new URL(`file://${folder}/gpt2/`));
        const { data } = model.forward("word5 word9 word7", { capture: { weights: "probabilities" } }).layers[1]
          .weights;
        const expected = [3, 6, 7, 8].map((cell) => data[2 * 9 + cell]);
        shown.weights.forEach((weight, i) =>
          assert.ok(Math.abs(weight - expected[i]) < 1e-5, `${weight}, ${expected[i]}`),
        );
        assert.match(shown.text, /^query word7 → key word7: /);
        model.dispose();
        assert.deepEqual(
          page.messages.filter((message) => !message.includes("404 (Not Found)")),
          [],
        );
      } finally {
        await browser.close();
      }
    });

    it("runs the model once for all that is set together, tells of a cell once, and keeps what it says of a mistake", async () => {
      const browser = await openBrowser(name);
      try {
        const page = await browser.page(`${server.url}examples/attention-map/`);
        const shown = await page.evaluate(async () => {
          const later = () => new Promise((resolve) => setTimeout(resolve, 50));
          await customElements.whenDefined("headwise-map");
          const map = document.createElement("headwise-map");
          document.body.append(map);
          const inputs = [];
          const cells = [];
          map.addEventListener("cell", ({ detail: { query, key } }) => cells.push([query, key]));
          map.model = {
            tokenizer: { tokenize: (text) => ({ ids: Int32Array.of(text.length, 1), tokens: ["a", "b"] }) },
            forward(ids, { capture }) {
              inputs.push([ids[0], ...capture.layers]);
              const weights = { data: Float32Array.of(1, 0, 0.25, 0.75, 1, 0, 0.5, 0.5), shape: [1, 2, 2, 2] };
              return { layers: [{}, { weights }] };
            },
          };
          map.text = "four";
          map.layer = 1;
          map.head = 1;
          await later();
          const canvas = map.shadowRoot.querySelector("canvas");
          const { left, top, width, height } = canvas.getBoundingClientRect();
          const point = (x, y) =>
            canvas.dispatchEvent(
              new PointerEvent("pointermove", { clientX: left + x * width, clientY: top + y * height }),
            );
          point(0.1, 0.8);
          point(0.3, 0.9);
          point(0.7, 0.9);
          const read = () => map.shadowRoot.querySelector("p").textContent;
          const text = read();
          map.head = 2;
          await later();
          point(0.1, 0.1);
          return { inputs, cells, text, wrong: read() };
        });
        assert.deepEqual(shown.inputs, [
          [4, 1],
          [4, 1],
        ]);
        assert.deepEqual(shown.cells, [
          [0, 0],
          [1, 0],
          [1, 1],
        ]);
        assert.equal(shown.text, "query b → key b: 0.50");
        assert.match(shown.wrong, /head: expected one of 2 heads, got 2/);
      } finally {
        await browser.close();
      }
    });
  });
}

it("importing it in Node defines nothing and touches no browser", async () => {
  const { defineHeadwiseMap } = await import("../../dist/map.js");
  assert.equal(typeof defineHeadwiseMap, "function");
});
