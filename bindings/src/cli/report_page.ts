/** A report of heads as one page, without scripts and without anything from elsewhere. */
import type { HeadReport, ReportedHead } from "../types.js";

/** What a report is of, and what the page shows beside the numbers. */
export interface ReportContents {
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    readonly layers: number;
    readonly numHeads: number;
  };
  readonly texts: readonly string[];
  readonly pair?: {
    readonly clean: string;
    readonly corrupted: string;
    readonly answer: string;
    readonly against: string;
  };
  readonly report: HeadReport;
  /** The tokens of the first text. */
  readonly tokens: readonly string[];
  /** Of each head that is left, its attention weights on the first text, as an image. */
  readonly maps: readonly { readonly layer: number; readonly head: number; readonly image: string }[];
}

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escape = (text: string) => text.replace(/[&<>"]/g, (character) => escapes[character]!);

const style = `
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #656d76; --line: #d0d7de; --ground: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --quiet: #9198a1; --line: #3d444d; --ground: #0d1117 } }
body { color: var(--ink); background: var(--ground); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .15rem .5rem; text-align: right; border-bottom: 1px solid var(--line) }
.map td { border: 1px solid var(--ground); color: #000; min-width: 2.6rem; text-align: center }
.maps { display: flex; flex-wrap: wrap; gap: 1.5rem }
.row { display: flex; gap: .4rem; align-items: center; margin: .4rem 0; overflow-x: auto }
img { image-rendering: pixelated; width: 72px; height: 72px; border: 1px solid var(--line) }
img:hover { width: 288px; height: 288px }
.wide { overflow-x: auto } .quiet { color: var(--quiet) } code { white-space: pre-wrap }
td.left { text-align: left }`;

const number = (value: number | undefined) =>
  value === undefined || Number.isNaN(value) ? "–" : Number(value.toPrecision(3)).toString();

/** Blue above 0, orange below. */
function colour(value: number, largest: number): string {
  const share = largest === 0 ? 0 : Math.min(Math.abs(value) / largest, 1);
  const [red, green, blue] = value >= 0 ? [66, 133, 214] : [222, 128, 52];
  const blend = (full: number) => Math.round(255 + share * (full - 255));
  return `rgb(${blend(red!)} ${blend(green!)} ${blend(blue!)})`;
}

/** A number of each head as a table of layers and heads. */
function headMap(
  title: string,
  { report, model }: ReportContents,
  of: (head: ReportedHead) => number | undefined,
): string {
  const values = report.heads.map(of);
  if (values.every((value) => value === undefined)) return "";
  const largest = values.reduce<number>((most, value) => Math.max(most, Math.abs(value ?? 0)), 0);
  const cell = (layer: number, head: number) => {
    const index = report.heads.findIndex((each) => each.layer === layer && each.head === head);
    if (index < 0) return "<td></td>";
    const value = values[index]!;
    return `<td style="background:${colour(value, largest)}" title="layer ${layer}, head ${head}">${number(value)}</td>`;
  };
  const count = Array.from({ length: model.numHeads }, (_, head) => head);
  const rows = Array.from(
    { length: model.layers },
    (_, layer) => `<tr><th>${layer}</th>${count.map((head) => cell(layer, head)).join("")}</tr>`,
  );
  const heading = `<tr><th></th>${count.map((head) => `<th>${head}</th>`).join("")}</tr>`;
  return `<section><h3>${title}</h3><div class="wide"><table class="map">${heading}${rows.join("")}</table></div></section>`;
}

const tokensOf = (tokens: readonly { token: number; text?: string }[]) =>
  tokens.map(({ token, text }) => `<code>${escape(text ?? String(token))}</code>`).join(", ");

function headRows({ report }: ReportContents): string {
  const rows = report.heads.map((head) => {
    const numbers = [
      ...[head.attention.entropy, head.attention.distance, head.attention.confidence],
      ...[head.roles.previous, head.roles.duplicate, head.roles.induction, head.importance],
      ...[head.attribution, head.patching],
    ].map((value) => `<td>${number(value)}</td>`);
    const writes =
      head.writes && [head.writes.raises, head.writes.lowers].map((list) => `<td class="left">${tokensOf(list)}</td>`);
    return `<tr><th>${head.layer}.${head.head}</th>${numbers.join("")}${writes?.join("") ?? "<td></td><td></td>"}</tr>`;
  });
  const names = ["head", "entropy", "distance", "confidence", "previous", "duplicate", "induction", "importance"];
  const heading = [...names, "attribution", "patching", "raises", "lowers"].map((name) => `<th>${name}</th>`).join("");
  return `<div class="wide"><table><tr>${heading}</tr>${rows.join("")}</table></div>`;
}

function attention({ maps, model, tokens }: ReportContents): string {
  const rows = Array.from({ length: model.layers }, (_, layer) => {
    const images = maps
      .filter((map) => map.layer === layer)
      .map(
        ({ head, image }) =>
          `<img src="${image}" alt="layer ${layer}, head ${head}" title="layer ${layer}, head ${head}">`,
      );
    return `<div class="row"><span class="quiet">${layer}</span>${images.join("")}</div>`;
  });
  return `<h2>Attention</h2>
<p>Of each head on the beginning of the first text: a row is a query, a column a key, from white (0) to dark blue (1). Rows of the page are layers. The tokens: ${tokens
    .map((token) => `<code>${escape(token)}</code>`)
    .join(" ")}</p>
${rows.join("\n")}`;
}

export function reportPage(contents: ReportContents): string {
  const { model, texts, pair, report } = contents;
  const title = `The heads of ${escape(model.name)}`;
  const maps = [
    headMap(`Importance (${report.importance})`, contents, (head) => head.importance),
    headMap("Previous token", contents, (head) => head.roles.previous),
    headMap("Duplicate token", contents, (head) => head.roles.duplicate),
    headMap("Induction", contents, (head) => head.roles.induction),
    headMap("Attribution of the logit difference", contents, (head) => head.attribution),
    headMap("Attribution patching", contents, (head) => head.patching),
  ];
  const about = pair
    ? `<p>Clean: <code>${escape(pair.clean)}</code><br>Corrupted: <code>${escape(pair.corrupted)}</code><br>The logit of <code>${escape(pair.answer)}</code> less that of <code>${escape(pair.against)}</code>, at the last token.</p>`
    : "";
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${title}</title>
<style>${style}</style>
<h1>${title}</h1>
<p>${escape(model.architecture)}, ${model.layers} layers, ${model.numHeads} heads a layer; ${texts.length} text${texts.length > 1 ? "s" : ""}, ${report.tokens} tokens.
What the numbers mean: <code>docs/heads.md</code> of the package headwise.</p>
${about}
<h2>Layers and heads</h2>
<div class="maps">${maps.join("\n")}</div>
${attention(contents)}
<h2>Every head</h2>
${headRows(contents)}
</html>
`;
}
