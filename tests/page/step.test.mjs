// "Step through" on the built page in Chromium: the numbers of all six steps against the library's, what lights up, and the toy.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { readSafetensors, writeSafetensors } from "../../dist/index.js";
import { loadOracle } from "./oracle.mjs";
import { openHub, TEXT } from "./own.mjs";
import { darkWithReducedMotion, openSite } from "./screen.mjs";

const FACTORS = ["products", "scale", "mask", "softmax", "values", "output"];
let hub, site, oracle;

before(async () => {
  hub = await openHub(["gpt_neo", "gemma2"]);
  ({ site } = hub);
  oracle = await loadOracle(site.url);
});
after(async () => {
  await hub?.close();
  oracle?.dispose();
});

/** The numbers of a column, by row. */
const column = (page, n) =>
  page.$$eval(`[data-column="${n}"]`, (cells) =>
    cells.map(({ dataset, textContent }) => ({ value: Number(dataset.value), text: textContent })),
  );

function near(actual, expected, what) {
  assert.equal(actual.length, expected.length, what);
  actual.forEach((value, i) => {
    const wanted = expected[i];
    const same = value === wanted || Math.abs(value - wanted) <= 2e-4 * Math.max(1, Math.abs(wanted));
    assert.ok(same, `${what} ${i}: ${value}, expected ${wanted}`);
  });
}

for (const [name, query, causal] of [
  ["2.2", 7, false],
  ["1.3", 4, true],
]) {
  test(`head ${name}, query ${query}${causal ? ", causal" : ""}: the six steps' numbers are the library's`, async () => {
    const screen = await site.open();
    const { page } = screen;
    if (causal) await screen.after(() => page.click("[data-switch=causal]"));
    const { heads, looks, tokens } = await oracle.compute(await screen.text(), { causal });
    await screen.show("step");
    await page.select("[data-choose=head]", name);
    await page.select("[data-choose=query]", String(query));
    const [layer, head] = name.split(".").map((number) => Number(number) - 1);
    const look = looks[layer];
    const T = tokens.length;
    const D = look.queries.shape[2];
    await page.waitForSelector("[data-panel]");
    const rowOf = ({ data, shape: [, rows, width] }, t, h = head) =>
      Array.from(data.subarray((h * rows + t) * width, (h * rows + t + 1) * width));
    const q = rowOf(look.queries, query);
    const keys = tokens.map((_, j) => rowOf(look.keys, j));
    const dots = keys.map((k) => k.reduce((sum, value, d) => sum + value * q[d], 0));
    const weights = Array.from(heads[name].weights.subarray(query * T, (query + 1) * T));
    const values = async (n) => (await column(page, n)).map(({ value }) => value);
    const on = async (factor) => {
      assert.equal(await page.$eval("[data-factor]", ({ dataset }) => dataset.factor), factor);
      assert.equal((await page.$$(".formula .lit")).length, factor === "values" ? 2 : 1);
    };

    await on("products");
    near(await values(0), dots, "q · k");
    await page.hover("[data-row='1']");
    const box = await (await page.$(".bars svg")).boundingBox();
    await page.mouse.move(box.x + (5.5 / D) * box.width, box.y + 5);
    const said = await page.$$eval("[data-feature='5'] b", (all) => all.map(({ textContent }) => textContent));
    const shown = (value) => value.toFixed(3).replace("-", "−");
    assert.deepEqual(said, [q[5], keys[1][5], q[5] * keys[1][5], dots[1]].map(shown));

    await page.focus("[data-go=on]");
    await screen.press("ArrowRight");
    await on("scale");
    near(
      await values(1),
      dots.map((dot) => dot / Math.sqrt(D)),
      "scores",
    );
    await page.hover("[data-column='1'][data-row='2']");
    const lit = () => page.$$eval("td.lit", (all) => all.map(({ dataset: { column, row } }) => [column, row].join()));
    assert.deepEqual(await lit(), ["0,2"], "a score lights the sum it comes from");

    await screen.press("ArrowRight");
    await on("mask");
    const scores = rowOf(look.scores, query);
    near(
      await values(1),
      scores.map((score, j) => (causal && j > query ? -Infinity : score)),
      "masked",
    );
    if (causal) assert.equal((await column(page, 1)).at(-1).text, "−∞");

    await page.click("[data-go=on]");
    await on("softmax");
    near(await values(2), weights, "weights");
    const exponentials = await values(1);
    const total = await page.$eval("[data-total]", ({ dataset }) => Number(dataset.total));
    near([total], [exponentials.reduce((sum, value) => sum + value)], "sum");
    near(
      exponentials.map((value) => value / total),
      weights,
      "exponentials over their sum",
    );
    await page.hover("[data-column='2'][data-row='3']");
    assert.deepEqual(await lit(), ["1,3", ","], "a weight lights its exponential and the sum");
    await page.hover("[data-total]");
    assert.equal((await lit()).length, T, "the sum lights all exponentials");

    await page.click("[data-go=on]");
    await on("values");
    const parts = () => page.$$eval("[data-part]", (all) => all.map(({ dataset }) => Number(dataset.value)));
    const feature = async (n) => {
      await page.$eval(
        ".panel input",
        (input, n) => ((input.value = n), input.dispatchEvent(new Event("input", { bubbles: true }))),
        n,
      );
      return parts();
    };
    for (const d of [0, 17, D - 1]) {
      const column = tokens.map((_, j) => rowOf(look.values, j)[d]);
      near(await feature(d + 1), [...column, rowOf(look.outputs, query)[d]], "values and output");
      near([column.reduce((sum, value, j) => sum + weights[j] * value, 0)], [rowOf(look.outputs, query)[d]], "mix");
    }

    await page.click("[data-go=on]");
    await on("output");
    assert.equal(await page.$eval("[data-go=on]", (button) => button.ariaDisabled), "true");
    for (const e of [0, 300, 511]) {
      const numbers = await feature(e + 1);
      const contributions = [0, 1, 2, 3].map((h) => rowOf(look.contributions, query, h)[e]);
      const attention = look.attention.data[query * 512 + e];
      near(numbers.toSpliced(4, 1), [...contributions, attention], "contributions and their sum");
      near([numbers.slice(0, 5).reduce((sum, value) => sum + value)], [attention], "sum with the bias");
    }
    await page.focus("[data-go=back]");
    for (const factor of FACTORS.toReversed().slice(1)) {
      await screen.press("ArrowLeft");
      await on(factor);
    }
    await screen.done();
  });
}

for (const [name, scale, softcap] of [
  ["gpt_neo", 1, 0],
  ["gemma2", 20 ** -0.5, 5],
]) {
  test(`${name} does not divide by √d: the products are those of its queries and keys, the scale and softcap its own`, async () => {
    const own = await hub.openOwn();
    const { page } = own;
    await own.hub(name);
    await own.type(TEXT);
    const model = await hub.hw.openModel(await hub.filesOf(name));
    const tokens = model.tokenizer.encode(TEXT);
    const captured = (capture) => model.forward(tokens, { logits: "none", capture }).layers[1];
    const { queries, keys, weights } = captured({ queries: true, keys: true, weights: "scores" });
    const masked = captured({ weights: "masked" }).weights;
    const [T, D] = queries.shape.slice(1);
    const [query, head] = [3, 2];
    const kv = Math.floor((head * keys.shape[0]) / queries.shape[0]);
    const rowOf = ({ data }, width, row) => Array.from(data.subarray(row * width, (row + 1) * width));
    const q = rowOf(queries, D, head * T + query);
    const dots = Array.from(tokens, (_, t) =>
      rowOf(keys, D, kv * T + t).reduce((sum, value, d) => sum + value * q[d], 0),
    );
    const values = async (n) => (await column(page, n)).map(({ value }) => value);

    await own.show("step");
    await page.select("[data-choose=model]", "1");
    await page.select("[data-choose=head]", "2.3");
    await page.select("[data-choose=query]", String(query));
    await page.waitForSelector("[data-panel=products]");
    near(await values(0), dots, "q · k");
    await page.click("[data-go=on]");
    await page.waitForSelector("[data-panel=scale]");
    const panel = () => page.$eval("[data-view=step] section", (element) => element.innerText);
    assert.match(await panel(), /× scale[^]*does not divide by √d/);
    assert.doesNotMatch(await panel(), /[/÷] √d/);
    near(
      await values(1),
      dots.map((dot) => dot * scale),
      "scores",
    );
    near(await values(1), rowOf(weights, T, head * T + query), "the library's scores");
    await page.click("[data-go=on]");
    await page.waitForSelector("[data-panel=mask]");
    near(await values(1), rowOf(masked, T, head * T + query), "masked");
    assert.equal((await page.$("[data-changed=softcap]")) !== null, softcap > 0);
    if (softcap > 0) {
      assert.match(await panel(), new RegExp(`softcap of c = ${softcap} `));
      near(
        await values(1),
        dots.map((dot, j) => (j > query ? -Infinity : softcap * Math.tanh((dot * scale) / softcap))),
        "capped",
      );
    }
    model.dispose();
    await own.done();
  });
}

test("a model with ALiBi: each masked score is the score less the key's distance times the head's slope", async () => {
  const vocabulary = " abcdefghijklmnopqrstuvwxyzTC.";
  const config = { layers: 2, embedDim: 16, feedForwardDim: 16, contextLength: 32, positions: "alibi", seed: 3 };
  const model = hub.hw.transformer({ vocabSize: vocabulary.length, numHeads: 4, ...config });
  const file = readSafetensors(model.save());
  const tensors = Object.fromEntries(file.names.map((name) => [name, file.tensor(name)]));
  const folder = await mkdtemp(join(tmpdir(), "headwise-alibi-"));
  const bytes = writeSafetensors(tensors, { metadata: { ...file.metadata, vocabulary } });
  await writeFile(join(folder, "moby-dick.safetensors"), bytes);
  const site = await openSite({ also: { "models/": folder } });
  try {
    const screen = await site.open({ view: "model?model=moby-dick&text=Call+me+a+whale." });
    const { page } = screen;
    await page.waitForSelector("[data-own=live][aria-busy=false]");
    await screen.show("step");
    await page.select("[data-choose=model]", "1");
    await page.select("[data-choose=head]", "2.3");
    await page.select("[data-choose=query]", "9");
    await page.waitForSelector("[data-panel=products]");
    for (const factor of ["scale", "mask"]) {
      await page.click("[data-go=on]");
      await page.waitForSelector(`[data-panel=${factor}]`);
    }
    const said = await page.$eval("[data-changed=alibi]", ({ textContent }) => textContent);
    assert.match(said.replace(/\s+/g, " "), /lowers each score by the key's distance times the head's slope/);
    const tokens = Int32Array.from("Call me a whale.", (letter) => vocabulary.indexOf(letter));
    const captured = (weights) => model.forward(tokens, { capture: { weights } }).layers[1].weights.data;
    const T = tokens.length;
    const rowOf = (data) => Array.from(data.subarray((2 * T + 9) * T, (2 * T + 10) * T));
    const shown = async (n) => (await column(page, n)).map(({ value }) => value);
    const scores = await shown(0);
    near(scores, rowOf(captured("scores")), "scores");
    near(await shown(1), rowOf(captured("masked")), "masked");
    const slope = 2 ** ((-8 * 3) / 4); // of the third of four heads (Press et al. 2022)
    near(await shown(1), scores.map((score, key) => (key > 9 ? -Infinity : score - slope * (9 - key))), "lowered"); // prettier-ignore
    await screen.done();
  } finally {
    await site.close();
    model.dispose();
    await rm(folder, { recursive: true, force: true });
  }
});

test("the toy: tips move by keyboard and pointer, weights follow, tasks are checked", async () => {
  const screen = await site.open({ view: "step" });
  const { page } = screen;
  await page.waitForSelector("[data-weight='0.0.0'][data-value]");
  const done = () => page.$$eval("[data-task]", (all) => all.map(({ dataset }) => dataset.done === "true"));
  assert.deepEqual(await done(), [false, false, false, false]);
  const at = (tip) =>
    page.$eval(`[data-tip="${tip}"]`, (g) =>
      g.ariaLabel
        .split(": ")[1]
        .split(", ")
        .map((x) => Number(x.replace("−", "-"))),
    );
  /** In steps of a quarter. */
  async function press(tip, [x, y]) {
    await page.$eval(`[data-tip="${tip}"]`, (g) => g.focus());
    const [fromX, fromY] = await at(tip);
    const times = async (key, count) => {
      for (let i = 0; i < count; ++i) await page.keyboard.press(key);
    };
    await times(x > fromX ? "ArrowRight" : "ArrowLeft", Math.round(Math.abs(x - fromX) / 0.25));
    await times(y > fromY ? "ArrowUp" : "ArrowDown", Math.round(Math.abs(y - fromY) / 0.25));
  }
  async function drag(tip, [x, y]) {
    const [from, box] = await page.$eval(`[data-tip="${tip}"]`, (g) => {
      const { x, y, width, height } = g.querySelector("circle").getBoundingClientRect();
      const { left, top, width: size } = g.ownerSVGElement.getBoundingClientRect();
      return [[x + width / 2, y + height / 2], { left, top, size }];
    });
    await page.mouse.move(...from);
    await page.mouse.down();
    await page.mouse.move(box.left + box.size * (x / 9 + 0.5), box.top + box.size * (-y / 9 + 0.5), { steps: 4 });
    await page.mouse.up();
  }
  const around = [
    [3, 0],
    [0, 3],
    [-3, 0],
    [0, -3],
  ];
  // Head 1: queries of B, C, D where the keys of A, B, C are. Pointer and keyboard in turns; the farthest first, since tips cover each other.
  for (const t of [0, 1, 2]) await press(`key.0.${t}`, around[t]);
  for (const t of [1, 2, 3])
    await drag(
      `query.0.${t}`,
      around[t - 1].map((x) => x * 1.2),
    );
  await page.waitForSelector("[data-task='0'][data-done=true]");
  const weights = await page.$$eval("[data-weight^='0.']", (all) => all.map(({ dataset }) => Number(dataset.value)));
  const [queries, keys] = [[], []];
  for (const t of [0, 1, 2, 3]) [queries[t], keys[t]] = [await at(`query.0.${t}`), await at(`key.0.${t}`)];
  queries.forEach((query, i) => {
    const powers = keys.map((key) => Math.exp((query[0] * key[0] + query[1] * key[1]) / Math.SQRT2));
    const total = powers.reduce((sum, value) => sum + value);
    near(
      weights.slice(4 * i, 4 * i + 4),
      powers.map((power) => power / total),
      "weights of the toy",
    );
  });
  for (const t of [0, 1, 2, 3]) {
    await press(`key.1.${t}`, around[t]);
    await press(`query.1.${t}`, around[t]);
  }
  await page.waitForSelector("[data-task='1'][data-done=true]");
  assert.deepEqual(await done(), [true, true, false, false]);
  for (const tip of ["query", "key"]) for (const t of [0, 1, 2, 3]) await press(`${tip}.1.${t}`, [0, 0]);
  await page.waitForSelector("[data-task='2'][data-done=true]");
  for (const t of [0, 1, 2, 3]) await press(`query.0.${t}`, around[0]);
  await page.waitForSelector("[data-task='3'][data-done=true]");
  assert.deepEqual(await done(), [false, false, true, true]);
  await screen.done();
});

test("320 pixels wide, dark: no step scrolls sideways", async () => {
  const screen = await site.open({ view: "step", width: 320, features: darkWithReducedMotion });
  await screen.page.waitForSelector("[data-panel]");
  for (const factor of FACTORS) {
    await screen.page.waitForSelector(`[data-panel=${factor}]`);
    assert.equal(await screen.overflow(), 0, factor);
    await screen.page.click("[data-go=on]");
  }
  await screen.done();
});
