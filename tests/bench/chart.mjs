// The ratios as a picture: a line for each row, a dot for each peer, on a logarithmic scale. Its colours are readable on
// light and on dark ground.
import { scaleLog } from "d3-scale";

import { peers } from "./contenders/index.mjs";
import { kinds } from "./rows.mjs";

const colours = ["#d9730d", "#2f81f7", "#8957e5", "#2da44e"];
const [panelWidth, left, top, line] = [400, 70, 64, 26];
const ticks = [0.5, 1, 2, 4, 8, 16, 32, 64];

const escape = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

function dot({ name, threads, ratio }, x, y) {
  const colour = colours[peers.indexOf(name)];
  const title = `${name}, ${threads} thread${threads > 1 ? "s" : ""}: ${ratio.median.toFixed(2)}×`;
  const range = `<line x1="${x(ratio.q1)}" x2="${x(ratio.q3)}" y1="${y}" y2="${y}" stroke="${colour}" stroke-width="3" opacity="0.5"/>`;
  const fill = threads > 1 ? "none" : colour;
  return `<g><title>${escape(title)}</title>${range}<circle cx="${x(ratio.median)}" cy="${y}" r="5" fill="${fill}" stroke="${colour}" stroke-width="2"/></g>`;
}

/** A cross at the edge for a peer that fails the row. */
function cross({ name, message }, x, y) {
  const title = `<title>${escape(`${name} fails: ${message}`)}</title>`;
  return `<text x="${x}" y="${y + 4}" text-anchor="middle" style="fill:${colours[peers.indexOf(name)]}">${title}✕</text>`;
}

function panel(results, kind, offset, height) {
  const x = scaleLog([0.5, 64], [offset + left, offset + panelWidth - 12]).clamp(true);
  const grid = ticks.map(
    (tick) =>
      `<line x1="${x(tick)}" x2="${x(tick)}" y1="${top - 8}" y2="${height - 24}" class="${tick === 1 ? "one" : "grid"}"/>` +
      `<text x="${x(tick)}" y="${height - 8}" text-anchor="middle">${tick}×</text>`,
  );
  const rows = results
    .filter((result) => result.kind === kind)
    .map(({ row, records }, n) => {
      const y = top + 8 + n * line;
      const label = `<text x="${offset + left - 10}" y="${y + 4}" text-anchor="end">${row}</text>`;
      const dots = records.filter(({ name, ratio }) => ratio && peers.includes(name)).map((own) => dot(own, x, y));
      const failed = records.filter(
        ({ name, threads, status }) => status === "failed" && threads === 1 && peers.includes(name),
      );
      return [label, ...dots, ...failed.map((own, m) => cross(own, x(0.5) + 12 + 14 * m, y))].join("");
    });
  const heading = kind === "core" ? "attention" : "whole block";
  return `<text x="${offset + left}" y="${top - 16}" class="head">${heading}</text>${grid.join("")}${rows.join("")}`;
}

/** An SVG document. */
export function chart({ rows, machine }) {
  const count = Math.max(...kinds.map((kind) => rows.filter((result) => result.kind === kind).length), 1);
  const height = top + count * line + 36;
  const width = kinds.length * panelWidth;
  const legend = peers.map(
    (name, n) =>
      `<circle cx="${16 + n * 110}" cy="16" r="5" fill="${colours[n]}"/><text x="${26 + n * 110}" y="20">${name}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="How many times as long as Headwise each peer takes">
<style>
text { font: 12px system-ui, sans-serif; fill: #57606a }
.head { font-weight: 600 }
.grid { stroke: #8c959f; opacity: 0.3 }
.one { stroke: #8c959f; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #adbac7 } }
</style>
${legend.join("")}<text x="${width - 12}" y="20" text-anchor="end">times as long as Headwise; ring: 2 threads; ${escape(machine.engine)}</text>
${kinds.map((kind, n) => panel(rows, kind, n * panelWidth, height)).join("\n")}
</svg>
`;
}
