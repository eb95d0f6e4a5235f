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

/** Two means over seeds differ clearly when they are more than two standard errors of their difference apart. */
export function clearly(a, b) {
  const error = Math.sqrt(a.sd ** 2 / a.n + b.sd ** 2 / b.n);
  return Math.abs(a.mean - b.mean) > 2 * error;
}
