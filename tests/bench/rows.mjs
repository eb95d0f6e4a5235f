// What is measured: shapes, work and targets. B batch, L queries, S keys, E width, H heads, D = E / H. A block whose S is
// more than L has the S - L tokens before in a key/value cache; there B is 1.

/**
 * Targets are those of the project's plan for the relaxed build: `limit` is the share of the machine's limit inside the
 * core, `ort` the ratio to onnxruntime-web from typed arrays to typed arrays, `ms` a time in JavaScript.
 */
const table = [
  { name: "tiny", B: 1, L: 16, E: 64, H: 4, core: { ort: 1.5 }, block: { ort: 2, ms: 0.03 } },
  { name: "minilm", B: 1, L: 128, E: 384, H: 12, core: { limit: 0.7, ort: 2.5 }, block: { limit: 0.8, ort: 1.8 } },
  { name: "bert", B: 1, L: 128, E: 768, H: 12, core: { limit: 0.8, ort: 2.2 }, block: { limit: 0.87, ort: 1.8 } },
  { name: "bert512", B: 1, L: 512, E: 768, H: 12, core: { limit: 0.8, ort: 2 }, block: { limit: 0.87, ort: 1.9 } },
  {
    name: "gpt2",
    ...{ B: 1, L: 1024, E: 768, H: 12, causal: true },
    ...{ core: { limit: 0.78, ort: 3.5 }, block: { limit: 0.82, ort: 2.3 } },
  },
  { name: "long", B: 1, L: 4096, E: 512, H: 8, core: { limit: 0.78 }, block: { limit: 0.79 } },
  { name: "batch8", B: 8, L: 128, E: 384, H: 12, core: { limit: 0.7, ort: 2.2 }, block: { limit: 0.8, ort: 1.8 } },
  // One query: bound by memory, and so measured against a plain read. Attention alone is cross-attention, in the core with
  // K and V as in a key/value cache, [B, H, S, D]; the block decodes one token with a cache.
  { name: "decode", B: 1, L: 1, S: 1024, E: 768, H: 12, core: { limit: 0.8, ort: 1.2 }, block: {} },
  { name: "odd", B: 1, L: 77, E: 60, H: 4, core: { limit: 0.55, ort: 1.5 }, block: { limit: 0.6, ort: 1.5 } },
];

export const kinds = ["core", "block"];

export const rows = table.map(({ core, block, ...shape }) => ({
  S: shape.L,
  causal: false,
  ...shape,
  D: shape.E / shape.H,
  targets: { core, block },
}));

export const hasKind = (row, kind) => row.targets[kind] !== undefined;

/** Floating-point operations: two products of L x S x D for each head, of which causality needs half; projections. */
export function flops({ B, L, S, E, causal }, kind) {
  const core = (4 * B * L * S * E) / (causal ? 2 : 1);
  return kind === "core" ? core : core + 4 * 2 * B * L * E * E;
}

/** Bytes of K and V, for the block of the weights too, where reading them is the limit. */
export function readBytes({ B, L, S, E }, kind) {
  if (L > 1) return undefined;
  return 4 * (2 * B * S * E + (kind === "block" ? 4 * E * E : 0));
}

/** "L128 E384 H12", "8 x L128 …", "… causal". */
export function describe({ B, L, S, E, H, causal }) {
  const lengths = L === S ? `L${L}` : `L${L} S${S}`;
  return `${B > 1 ? `${B} × ` : ""}${lengths} E${E} H${H}${causal ? " causal" : ""}`;
}
