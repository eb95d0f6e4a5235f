// "Your model" on the built page in Chromium: tiny published models in the hub's address scheme, and what tests do there.
import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { load } from "../../dist/index.js";
import { unpack } from "../../tools/goldens.mjs";
import { root } from "../../tools/steps.mjs";
import { tokenizerFiles } from "../models/cases/word_tokenizer.mjs";
import { goldens } from "../models/goldens.mjs";
import { openSite } from "./screen.mjs";

const TOLERANCE = 1e-4;
export const TEXT = "word5 word9 word5 word40 word41";
const OWN = "[data-own]";
/** Of files that a model may have and these do not: generation_config.json. */
const MISSING = /404 \(Not Found\) http:\/\/127\.0\.0\.1:\d+\/hub\/tiny\//;

const NEVER = new Promise(() => {});

/** As the published ones', for pictures of 24 × 24. */
const preprocessor = {
  ...{ image_processor_type: "ViTImageProcessor", do_resize: true, size: { height: 24, width: 24 }, resample: 2 },
  ...{ do_rescale: true, rescale_factor: 1 / 255 },
  ...{ do_normalize: true, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] },
};

export const near = (value, expected, what) =>
  assert.ok(
    Math.abs(value - expected) <= TOLERANCE * Math.max(1, Math.abs(expected)),
    `${what}: ${value}, ${expected}`,
  );

/** For the model of pictures. */
const size = 32;
const pixel = (i) => [(i * 37) % 256, (i * 91) % 256, (i * 13) % 256, 255];
export const picture = {
  data: Uint8Array.from(Array.from({ length: size * size }, (_, i) => pixel(i)).flat()),
  width: size,
  height: size,
};

/** A folder as a hub has it, with these golden models. */
export async function makeHub(names) {
  await unpack();
  await mkdir(join(root, "build"), { recursive: true });
  const folder = await mkdtemp(join(root, "build/page-hub-"));
  /** A model as a hub has it: <hub>/tiny/<name>/resolve/main/. */
  const modelFolder = (name) => join(folder, "tiny", name, "resolve/main");
  /** Adds a model to the hub: by files that are not the tokenizer's, by name. */
  async function add(name, files) {
    await mkdir(modelFolder(name), { recursive: true });
    for (const [file, bytes] of Object.entries({ ...files, ...tokenizerFiles }))
      await writeFile(join(modelFolder(name), file), bytes);
  }
  for (const name of names) {
    await cp(fileURLToPath(new URL(`${name}/`, goldens)), modelFolder(name), { recursive: true });
    await add(name, {});
  }
  if (names.includes("vit")) {
    for (const file of Object.keys(tokenizerFiles)) await rm(join(modelFolder("vit"), file));
    await writeFile(join(modelFolder("vit"), "preprocessor_config.json"), JSON.stringify(preprocessor));
  }
  const kept = /^(config|tokenizer|tokenizer_config|preprocessor_config)\.json$|^model\.safetensors$/;
  return {
    folder,
    modelFolder,
    add,
    async filesOf(name) {
      const files = (await readdir(modelFolder(name))).filter((file) => kept.test(file));
      const read = async (file) => [file, await readFile(join(modelFolder(name), file))];
      return Object.fromEntries(await Promise.all(files.map(read)));
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** The site with a hub that has these golden models, and the library in Node. */
export async function openHub(names) {
  const files = await makeHub(names);
  /** `held`: paths that are never answered. */
  const hub = { held: null };
  const site = await openSite({ also: { "hub/": files.folder }, hold: (path) => hub.held?.test(path) && NEVER });
  const hw = await load({ threads: 1 });
  return Object.assign(hub, {
    ...files,
    site,
    hw,
    /** Its address. */
    url: `${site.url}hub/`,
    /** Every head's numbers on the cards against the library's. */
    async compareHeads(own, model, tokens) {
      const { layers } = model.forward(tokens, { logits: "none", capture: { weights: "probabilities" } });
      const { causal } = model.config;
      const statistics = layers.flatMap(({ weights }) => hw.analyzeHeads(weights, { causal, tokens }));
      for (const name of ["entropy", "distance"]) {
        const shown = await own.metric(name);
        assert.equal(shown.length, statistics.length);
        shown.forEach((value, n) => near(value, statistics[n][name], `${name} of head ${n}`));
      }
    },
    openOwn: (options) => openOwn(site, options),
    async close() {
      await site.close();
      hw.dispose();
      await files.remove();
    },
  });
}

/** The part "Your model", and what tests do there. */
async function openOwn(site, options) {
  const screen = await site.open({ view: "model", allowed: MISSING, ...options });
  const { page } = screen;
  const own = {
    ...screen,
    /** By name on the test's hub. */
    async hub(name) {
      await own.set("hub", `${site.url}hub/`);
      await page.locator("[name=where]").fill(`tiny/${name}`);
      await page.click(".open .main");
      await own.opened(`tiny/${name}`);
    },
    async opened(title) {
      await page.waitForFunction((title) => document.querySelector("[data-own] h2")?.textContent === title, {}, title);
    },
    settled: () => page.waitForSelector(`${OWN}[data-own=live][aria-busy=false]`),
    /** Acts, and waits until a later run than all before is on screen. */
    async after(act) {
      const runs = await page.$eval(OWN, ({ dataset }) => Number(dataset.runs));
      await act();
      await page.waitForFunction((runs) => Number(document.querySelector("[data-own]").dataset.runs) > runs, {}, runs);
      await own.settled();
    },
    type: (text, field = "#own-sentence") => own.after(() => own.enter(field, text)),
    /** A value in a field, at once. */
    enter: (field, value) =>
      page.$eval(
        field,
        (field, value) => {
          field.value = value;
          field.dispatchEvent(new Event("input", { bubbles: true }));
        },
        value,
      ),
    set: (name, value) => own.enter(`[name=${name}]`, value),
    toggle: (head) => own.after(() => page.click(`[data-view=model] [data-head='${head}'] [data-switch=gate]`)),
    title: () => page.$eval("[data-own] h2", (element) => element.textContent),
    shown: () => page.$eval("[data-view=model] [data-shown]", ({ dataset }) => dataset.shown),
    heads: () => page.$$eval("[data-view=model] [data-head]", (all) => all.map(({ dataset }) => dataset.head)),
    /** Statistics of the cards by head. */
    metric: (name) =>
      page.$$eval(
        "[data-view=model] [data-head]",
        (all, name) => all.map(({ dataset }) => Number(dataset[name])),
        name,
      ),
    status: () => page.$eval(".open [role=status]", (element) => element.textContent),
  };
  return own;
}
