// The figures, drawn by Observable Plot. They are readable on light and on dark ground: text and lines have a grey for
// each. Colours are those of the bench's chart.
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

import { byMethod } from "./pruned.mjs";
import { chosenRuns, groups, spread } from "./statistics.mjs";

const { document } = parseHTML("<html></html>");
const headColours = { domain: ["1", "2", "4", "8"], range: ["#d9730d", "#2da44e", "#2f81f7", "#8957e5"] };
const methodColours = {
  domain: ["gradient", "gradient, re-estimated", "leave-one-out", "norm", "confidence", "random"],
  range: ["#2f81f7", "#17a2b8", "#8957e5", "#2da44e", "#d9730d", "#8c959f"],
};
const style = `<style>
svg { color: #57606a; font: 12px system-ui, sans-serif }
@media (prefers-color-scheme: dark) { svg { color: #adbac7 } }
</style>`;

const escape = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
const plot = (options) => Plot.plot({ document, style: { fontSize: "12px" }, grid: true, ...options });

/** A legend: names in their colours. */
function legend({ domain, range }, title) {
  const width = (text) => 24 + 7 * text.length;
  let x = 16 + (title ? width(title) : 0);
  const entries = domain.map((name, n) => {
    const text = `<circle cx="${x}" cy="14" r="5" fill="${range[n]}"/><text x="${x + 9}" y="18" fill="currentColor">${escape(name)}</text>`;
    x += width(name) + 12;
    return text;
  });
  return (title ? `<text x="8" y="18" fill="currentColor">${escape(title)}</text>` : "") + entries.join("");
}

/** Plots beside one another below a legend, as an SVG document. */
function document_(plots, label, head = "") {
  const size = (svg, side) => Number(svg.getAttribute(side));
  const top = head ? 28 : 0;
  let width = 0;
  const parts = plots.map((svg) => {
    svg.setAttribute("x", width);
    svg.setAttribute("y", top);
    width += size(svg, "width");
    return svg.outerHTML;
  });
  const height = top + Math.max(...plots.map((svg) => size(svg, "height")));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(label)}">
${style}${head}
${parts.join("\n")}
</svg>
`;
}

/** Mean and standard deviation over runs at each point of their curves. */
function bands(runs, x, y, more = () => ({})) {
  return [...groups(runs, ({ heads }) => heads)].flatMap(([heads, own]) =>
    own[0].curve.map((point, n) => {
      const { mean, sd } = spread(own.map(({ curve }) => curve[n][y]));
      return { heads: String(heads), x: point[x], mean, low: mean - sd, high: mean + sd, ...more(own) };
    }),
  );
}

/** Accuracy over steps. Dashed: the longer run. */
function twoRelationsCurves(data) {
  const within = bands(chosenRuns(data), "step", "accuracy");
  const longer = bands(
    data.runs.filter(({ steps }) => steps === data.longer.steps),
    "step",
    "accuracy",
  );
  const line = { x: "x", y: "mean", stroke: "heads", strokeWidth: 2 };
  const picture = plot({
    ...{ width: 760, height: 340, marginLeft: 52, marginTop: 30, marginBottom: 42 },
    x: {
      type: "log",
      label: "steps of training →",
      tickFormat: (step) => String(step),
      ticks: [100, 200, 500, 1000, 2000, 5000, 10_000],
    },
    y: { domain: [0, 100], label: "↑ right answers, %", transform: (share) => 100 * share },
    color: headColours,
    marks: [
      Plot.ruleY([data.task.chance], { strokeDasharray: "2 4" }),
      Plot.areaY(within, { x: "x", y1: "low", y2: "high", fill: "heads", fillOpacity: 0.15 }),
      Plot.lineY(longer, { ...line, strokeDasharray: "5 4" }),
      Plot.lineY(within, line),
    ],
  });
  const label = "Right answers over steps of training, for 1, 2, 4 and 8 heads";
  return document_([picture], label, legend(headColours, "heads:"));
}

/** The attention weights of each head from the question, on one example. */
function twoRelationsMaps({ maps }) {
  const { tokens } = maps[0];
  const asked = tokens.at(-1);
  const column = ({ key, value, first, second }, n) => {
    const which = key === undefined ? "" : key === asked.first ? " first" : key === asked.second ? " second" : "";
    return { n, name: key === undefined ? `(${first}, ${second})?` : `key ${key}: ${value}${which && `\n${which}`}` };
  };
  const columns = tokens.map(column);
  const rows = [];
  const cells = [];
  for (const { heads, weights } of maps) {
    if (rows.length > 0) rows.push(" ".repeat(rows.length)); // a gap
    weights.forEach((row, h) => {
      const name = heads === 1 ? "1 head" : `${heads} heads: ${h + 1}`;
      rows.push(name);
      row.forEach((weight, n) => cells.push({ name, n, weight, text: weight.toFixed(2) }));
    });
  }
  const picture = plot({
    ...{ width: 620, height: 60 + 21 * rows.length, marginLeft: 96, marginTop: 48, grid: false, padding: 0.06 },
    x: { axis: "top", label: null, tickSize: 0, tickFormat: (n) => columns[n].name, domain: columns.map(({ n }) => n) },
    y: { label: null, tickSize: 0, domain: rows },
    opacity: { domain: [0, 1], range: [0, 1] },
    marks: [
      Plot.cell(cells, { x: "n", y: "name", stroke: "currentColor", strokeOpacity: 0.25 }),
      Plot.cell(cells, { x: "n", y: "name", fill: "#2f81f7", fillOpacity: "weight" }),
      Plot.text(cells, { x: "n", y: "name", text: "text", fill: "currentColor" }),
    ],
  });
  return document_([picture], "What each head attends to from the question, on one example");
}

/** Validation loss over tokens, and at the end beside the time of a step. */
function textCurves(data) {
  const runs = chosenRuns(data);
  const points = bands(runs, "tokens", "loss");
  const stepOf = (heads) => data.times.steps[data.settings.headCounts.indexOf(heads)].stepMilliseconds;
  const ends = runs.map(({ heads, loss }) => ({ heads: String(heads), loss, ms: stepOf(heads) }));
  const first = points.filter(({ x }) => x > data.tokens / 10); // the high losses at the beginning would flatten the rest
  const size = { height: 320, marginTop: 30, marginBottom: 42, marginLeft: 52, color: headColours };
  const curves = plot({
    ...{ ...size, width: 480 },
    x: { label: "characters seen →", tickFormat: "~s" },
    y: { label: "↑ validation loss, nats a character", zero: false },
    marks: [
      Plot.areaY(first, { x: "x", y1: "low", y2: "high", fill: "heads", fillOpacity: 0.15 }),
      Plot.lineY(first, { x: "x", y: "mean", stroke: "heads", strokeWidth: 2 }),
    ],
  });
  const times = plot({
    ...{ ...size, width: 300 },
    x: { label: "milliseconds a step →", zero: true },
    y: { label: "↑ loss at the end", zero: false },
    marks: [Plot.dot(ends, { x: "ms", y: "loss", fill: "heads", r: 5 })],
  });
  const label = "Validation loss over characters seen, and beside the time of a step, for 1, 2, 4 and 8 heads";
  return document_([curves, times], label, legend(headColours, "heads:"));
}

/** Increase of the loss before and after fine-tuning, and the time of a forward pass, over the share of removed heads. */
function pruningCurves(kind, found) {
  const methods = byMethod(kind, found);
  const points = methods.flatMap(({ method, points: own }) =>
    [{ fraction: 0, change: 0, changes: [0], tunedChange: undefined, share: 1 }, ...own].map((point) => ({
      ...{ method, x: point.fraction, change: point.change, tuned: point.tunedChange, share: point.share },
      ...{ low: Math.min(...point.changes), high: Math.max(...point.changes) },
    })),
  );
  const random = points.filter(({ method }) => method === "random");
  const lost = kind === "text" ? "loss added, %" : "accuracy lost, points";
  const panel = (width, label, y, marks = []) =>
    plot({
      ...{ width, height: 300, marginTop: 30, marginBottom: 42, marginLeft: 48, color: methodColours },
      x: { label: "heads removed, % →", transform: (share) => 100 * share },
      y: { label: `↑ ${label}`, transform: (share) => 100 * share, zero: true, nice: true },
      marks: [
        ...marks,
        Plot.lineY(
          points.filter((point) => point[y] !== undefined),
          { x: "x", y, stroke: "method", strokeWidth: 2 },
        ),
      ],
    });
  const band = Plot.areaY(random, { x: "x", y1: "low", y2: "high", fill: "method", fillOpacity: 0.15 });
  const panels = [
    panel(300, lost, "change", [band]),
    panel(260, `${lost}, fine-tuned`, "tuned"),
    panel(260, "time of a forward pass, %", "share"),
  ];
  const label = `What removing heads costs (${lost}) and saves, by the order of removal`;
  return document_(panels, label, legend(methodColours));
}

/** File names and SVG documents for the data that exist. */
export function figures({ "two-relations": twoRelations, text, pruning }) {
  return {
    ...(twoRelations && {
      "two-relations.svg": twoRelationsCurves(twoRelations),
      "two-relations-heads.svg": twoRelationsMaps(twoRelations),
    }),
    ...(text && { "text.svg": textCurves(text) }),
    ...(pruning && {
      "pruning-text.svg": pruningCurves("text", pruning.text),
      "pruning-two-relations.svg": pruningCurves("two-relations", pruning["two-relations"]),
    }),
  };
}
