// Numbers and tables as text.

export const ms = (value) =>
  value === undefined ? "–" : value < 0.1 ? value.toFixed(4) : value < 10 ? value.toFixed(3) : value.toFixed(1);
export const percent = (share) => `${(100 * share).toFixed(0)} %`;
export const times = (factor) => `${factor < 10 ? factor.toFixed(2) : factor.toFixed(0)}×`;
export const megabytes = (bytes) => (bytes / 1e6).toFixed(2);
export const table = (head, lines) =>
  [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
