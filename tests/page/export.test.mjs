// Figures as files: CSV and JSON have the library's numbers, SVG and PNG the picture; a sentence cites the view.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { loadOracle } from "./oracle.mjs";
import { importPageCode } from "./page_code.mjs";
import { openSite } from "./screen.mjs";

const { toCsv } = await importPageCode("web/src/figures/figure.ts");
const { barsOf, mapOf, tableOf, toSvg } = await importPageCode("web/src/figures/picture.ts");
let site, oracle, folder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headwise-export-"));
  site = await openSite();
  oracle = await loadOracle(site.url);
});
after(async () => {
  await site?.close();
  oracle?.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** A file that the page saves, as soon as it is whole. */
async function saved(name) {
  for (let wait = 0; wait < 100; ++wait) {
    const bytes = await readFile(join(folder, name)).catch(() => undefined);
    if (bytes?.length > 0) return bytes;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`${name} was not saved`);
}

test("the map of a head: CSV, JSON, SVG, PNG and a citation", async () => {
  const screen = await site.open({ view: "show?head=2.2" });
  const { page } = screen;
  const client = await page.createCDPSession();
  await client.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder });
  const { tokens, heads } = await oracle.compute(await screen.text());
  const weights = heads["2.2"].weights;
  const T = tokens.length;
  const words = tokens.map(({ piece }) => piece.replace("▁", ""));
  const press = (format) => page.$eval(`.side [data-export=${format}]`, (button) => button.click());

  await press("csv");
  const lines = (await saved("head-2.2.csv")).toString().trimEnd().split("\r\n");
  assert.equal(lines[0], ["", ...words].join(","));
  lines.slice(1).forEach((line, i) => {
    const [label, ...cells] = line.split(",");
    assert.equal(label, words[i]);
    cells.forEach((cell, j) => assert.ok(Math.abs(Number(cell) - weights[i * T + j]) < 2e-5));
  });

  await press("json");
  const json = JSON.parse((await saved("head-2.2.json")).toString());
  assert.deepEqual([json.rows, json.columns], [words, words]);
  assert.match(json.address, /#show\?head=2\.2$/);
  json.cells.flat().forEach((value, n) => assert.ok(Math.abs(value - weights[n]) < 2e-5));

  await press("svg");
  const svg = (await saved("head-2.2.svg")).toString();
  assert.equal(svg.match(/<rect x=/g).length, T * T);
  assert.ok(svg.includes(">because</text>"));
  await press("png");
  const png = await saved("head-2.2.png");
  assert.equal(png.subarray(1, 4).toString(), "PNG");
  assert.ok(png.readUInt32BE(16) > 500, "its width");

  await press("cite");
  const said = await page.$eval(".side .export p", ({ textContent }) => textContent);
  assert.match(said, /head 2\.2.*Universal Sentence Encoder Lite.*#show\?head=2\.2 \(\d{4}-\d\d-\d\d\)\.$/);
  await screen.done();
});

test("labels that would break a file are quoted: commas, quotes, formulas, angle brackets", () => {
  const figure = {
    ...{ name: "x", title: 'a < b & "c"', rows: ["=1+1", 'say "hi"'], columns: ["a,b", "<i>"] },
    cells: [
      [Math.fround(0.1), NaN],
      [-Infinity, 1],
    ],
    picture: mapOf({ ramp: new Uint8ClampedArray(1024), domain: [0, 1] }),
  };
  assert.equal(toCsv(figure), ',"a,b",<i>\r\n\'=1+1,0.100000001,\r\n"say ""hi""",,1\r\n');
  const svgOf = (more) => toSvg({ ...figure, ...more }, "#fff", "#000");
  assert.ok(svgOf().includes("a &lt; b &amp; &quot;c&quot;") && svgOf().includes("&lt;i&gt;"));
  assert.equal(svgOf().match(/<rect x=/g).length, 2, "empty cells are not drawn");
  const texts = svgOf({
    picture: tableOf,
    cells: [
      [0.123456, NaN],
      ["@a", -Infinity],
    ],
  }).match(/(?<=>)[^<]+(?=<\/text>)/g);
  assert.deepEqual(texts.slice(1).join(" "), " a,b &lt;i&gt; =1+1 0.1235 – say &quot;hi&quot; @a −∞".trim());
  const bars = svgOf({
    picture: barsOf([2, 2]),
    cells: [
      [1, -2],
      [NaN, 0],
    ],
  });
  const heights = Array.from(bars.matchAll(/height="([\d.]+)" fill="currentColor"/g), ([, height]) => Number(height));
  assert.deepEqual(heights, [1, 13, 1, 26, 1, 1, 0], "a line, and on it a bar for each number");
  const long = "A title that is longer than the figure below it is wide";
  assert.ok(Number(svgOf({ title: long }).match(/width="([\d.]+)"/)[1]) > 6 * long.length, "titles are not cut off");
});
