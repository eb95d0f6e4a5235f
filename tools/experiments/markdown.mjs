// Pieces of the page of text.

export const table = (head, lines) =>
  [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
export const points = (share) => `${(100 * share).toFixed(1)} points`;
/** Mean ± standard deviation. */
export const plusMinus = ({ mean, sd }, show) => `${show(mean)} ± ${show(sd)}`;
export const percentPlusMinus = ({ mean, sd }) => `${(100 * mean).toFixed(1)} ± ${(100 * sd).toFixed(1)} %`;
export const ms = (value) => (value < 10 ? value.toFixed(2) : value.toFixed(1));
export const thousands = (value) => Math.round(value).toLocaleString("en-US");
export const heads = (count) => (count === 1 ? "one head" : `${count} heads`);

/** a, b and c */
export function list(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** A probability of chance: two useful digits. */
export const probability = (p) => `p = ${Number(p.toPrecision(2))}`;

/** The first letter in upper case. */
export const sentence = (text) => text.replace(/^./, (first) => first.toUpperCase());

/** What a step takes beside the first model's, or that no difference is seen: quartiles of the ratio, round by round. */
export function besideFirst({ ofFirst: { q1, q3 } }) {
  if (q1 === 1 && q3 === 1) return "–";
  return `${q1.toFixed(2)} to ${q3.toFixed(2)} times${q1 <= 1 && q3 >= 1 ? " (no difference seen)" : ""}`;
}
