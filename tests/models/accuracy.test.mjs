// The table of docs/models.md, and what it must show.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { expect } from "chai";

import { root } from "../../tools/steps.mjs";
import { accuracy, accuracyTable } from "./accuracy.mjs";

describe("what number formats lose", () => {
  let rows;
  before(async () => (rows = await accuracy()));

  it("onnxruntime-web's graphs compute the same models", () => {
    for (const { model, f32 } of rows) expect(f32, model).to.be.below(2e-6);
  });

  it("int8's error is at most half of onnxruntime-web's, whichever way it quantises; less of tiny models", () => {
    for (const { model, what, int8, exported, fine } of rows.filter((row) => row.what !== "loss")) {
      const share = model.startsWith("tiny") ? 0.8 : 0.5;
      expect(int8, `${model}, ${what}`).to.be.below(share * Math.min(exported, fine));
    }
  });

  it("the loss of the model of characters changes by at most 0.3 %", () => {
    const { int8, bf16 } = rows.find(({ what }) => what === "loss");
    expect(int8).to.be.below(0.003);
    expect(bf16).to.be.below(0.003);
  });

  it("docs/models.md says so", async () => {
    const text = await readFile(join(root, "docs/models.md"), "utf8");
    const lines = (table) => table.split("\n").filter((line) => /[^|\s-]/.test(line));
    const cells = (table) => lines(table).map((line) => line.split("|").map((cell) => cell.trim()));
    const written = cells(/<!-- accuracy -->([^]*)<!-- \/accuracy -->/.exec(text)[1]);
    const found = cells(accuracyTable(rows));
    expect(written.map(([, model, what]) => [model, what])).to.deep.equal(
      found.map(([, model, what]) => [model, what]),
    );
    for (const [n, line] of found.entries()) {
      for (const [m, cell] of line.entries()) {
        if (!/^[\d.e-]+ %/.test(cell)) continue;
        const message = `${line[1]}, ${found[0][m]}: ${written[n][m]}, not ${cell}`;
        expect(parseFloat(written[n][m]), message).to.be.within(0.8 * parseFloat(cell), 1.25 * parseFloat(cell));
      }
    }
  });
});
