import { load, tensor } from "headwise";

const heads = 4;
const hw = await load();
const attention = hw.multiHeadAttention({ embedDim: 32, numHeads: heads, seed: 3, bias: false });
const x = tensor(
  new Float32Array(6 * 32).map((_, n) => Math.cos(n * n)),
  [6, 32],
);
const form = document.querySelector("form");
form.innerHTML = Array.from(
  { length: heads },
  (_, head) => `<label>head ${head + 1} <input type="range" min="0" max="1" step="0.01" value="1" /><b></b></label>`,
).join("");

/** Length of the last token's vector in row-major data. */
const norm = (data) => Math.hypot(...data.subarray(data.length - 32));

form.oninput = () => {
  attention.setHeadGates(Float32Array.from(form.querySelectorAll("input"), ({ value }) => Number(value)));
  const { output, heads: parts } = attention.forward(x, { return: { heads: "contributions" } });
  const each = parts.data.length / heads;
  const norms = Array.from({ length: heads }, (_, head) => norm(parts.data.subarray(head * each, (head + 1) * each)));
  form.querySelectorAll("b").forEach((bar, head) => (bar.style.width = `${20 * norms[head]}%`));
  document.querySelector("output").textContent = `length of the sum: ${norm(output.data).toFixed(3)}`;
};
form.oninput();
