/** A report with the texts of its tokens, and as a table. */
import { isObject } from "../base/kinds.js";
import type { Tokenizer } from "../models/tokenizer_types.js";
import type { HeadReport, ReportedHead, TokenLogit } from "./types.js";

/** In a cell of a Markdown table. */
const cell = (text: string) => text.replace(/[\\|`]/g, (mark) => `\\${mark}`).replace(/\n/g, "⏎");

const listed = (tokens: readonly TokenLogit[] = []) =>
  tokens.map(({ token, text }) => (text === undefined ? `#${token}` : cell(JSON.stringify(text)))).join(" ");

const digits = (value: number | undefined) => (value === undefined ? "" : String(Number(value.toPrecision(3))));

const columns: readonly (readonly [string, (head: ReportedHead) => string])[] = [
  ["head", ({ layer, head }) => `${layer}.${head}`],
  ["previous", ({ roles }) => digits(roles.previous)],
  ["duplicate", ({ roles }) => digits(roles.duplicate)],
  ["induction", ({ roles }) => digits(roles.induction)],
  ["entropy", ({ attention }) => digits(attention.entropy)],
  ["distance", ({ attention }) => digits(attention.distance)],
  ["first", ({ attention }) => digits(attention.first)],
  ["self", ({ attention }) => digits(attention.self)],
  ["importance", ({ importance }) => digits(importance)],
  ["attribution", ({ attribution }) => digits(attribution)],
  ["patching", ({ patching }) => digits(patching)],
  ["raises", ({ writes }) => listed(writes?.raises)],
  ["lowers", ({ writes }) => listed(writes?.lowers)],
];

/** A Markdown table, without columns that are empty. */
function tableOf(heads: readonly ReportedHead[]): string {
  const used = columns.filter(([, of]) => heads.some((head) => of(head) !== ""));
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  const rows = heads.map((head) => line(used.map(([, of]) => of(head))));
  return line(used.map(([name]) => name)) + line(used.map(() => "---")) + rows.join("");
}

export function finishReport(report: HeadReport, model: unknown): HeadReport {
  const tokenizer = isObject(model) ? (model.tokenizer as Tokenizer | undefined) : undefined;
  const named = (tokens: readonly TokenLogit[]) =>
    tokens.map((each) => (tokenizer ? { ...each, text: tokenizer.decode([each.token]) } : each));
  const heads = report.heads.map((head) =>
    head.writes ? { ...head, writes: { raises: named(head.writes.raises), lowers: named(head.writes.lowers) } } : head,
  );
  return { ...report, heads, table: tableOf(heads) };
}
