// Every form of the state dicts that importParameters and exportParameters know.
import { random } from "./reference.mjs";

/** A state dict of random tensors. */
export const dictOf = (shapes) =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape], n) => [name, random(shape, 10 + n)]));

/** embedDim of them all. */
export const E = 24;
const bertShapes = (width) => ({
  ...Object.fromEntries(
    ["query", "key", "value"].flatMap((name) => [
      [`attention.self.${name}.weight`, [width, E]],
      [`attention.self.${name}.bias`, [width]],
    ]),
  ),
  "attention.output.dense.weight": [E, width],
  "attention.output.dense.bias": [E],
});
const llamaShapes = (H, G, D, biased) => ({
  "self_attn.q_proj.weight": [H * D, E],
  "self_attn.k_proj.weight": [G * D, E],
  "self_attn.v_proj.weight": [G * D, E],
  "self_attn.o_proj.weight": [E, H * D],
  ...(biased && {
    "self_attn.q_proj.bias": [H * D],
    "self_attn.k_proj.bias": [G * D],
    "self_attn.v_proj.bias": [G * D],
  }),
});
const torchOut = { "out_proj.weight": [E, E], "out_proj.bias": [E] };
const separate = { q_proj_weight: [E, E], k_proj_weight: [E, 10], v_proj_weight: [E, 14] };

/** Every form of every layout: its shapes, the options to import it, the configuration expected. */
export const forms = {
  "torch, packed": {
    options: { layout: "torch", numHeads: 4 },
    shapes: { in_proj_weight: [3 * E, E], in_proj_bias: [3 * E], ...torchOut },
    config: { headDim: 6, bias: true },
  },
  "torch, packed, no bias": {
    options: { layout: "torch", numHeads: 3 },
    shapes: { in_proj_weight: [3 * E, E], "out_proj.weight": [E, E] },
    config: { headDim: 8, bias: false },
  },
  "torch, separate": {
    options: { layout: "torch", numHeads: 4 },
    shapes: { ...separate, in_proj_bias: [3 * E], ...torchOut },
    config: { headDim: 6, keyDim: 10, valueDim: 14, bias: true },
  },
  "torch, separate, no bias": {
    options: { layout: "torch", numHeads: 2 },
    shapes: { ...separate, v_proj_weight: [E, E], "out_proj.weight": [E, E] },
    config: { headDim: 12, keyDim: 10, valueDim: E, bias: false },
  },
  bert: {
    options: { layout: "bert", numHeads: 4 },
    shapes: bertShapes(E),
    config: { headDim: 6, bias: true },
  },
  "bert, pruned": {
    options: { layout: "bert", numHeads: 3 },
    shapes: bertShapes(18),
    config: { headDim: 6, bias: true },
  },
  gpt2: {
    options: { layout: "gpt2", numHeads: 4 },
    shapes: {
      "attn.c_attn.weight": [E, 3 * E],
      "attn.c_attn.bias": [3 * E],
      "attn.c_proj.weight": [E, E],
      "attn.c_proj.bias": [E],
    },
    config: { headDim: 6, bias: true },
  },
  "gpt2, pruned": {
    options: { layout: "gpt2", numHeads: 1 },
    shapes: {
      "attn.c_attn.weight": [E, 18],
      "attn.c_attn.bias": [18],
      "attn.c_proj.weight": [6, E],
      "attn.c_proj.bias": [E],
    },
    config: { headDim: 6, bias: true },
  },
  llama: {
    options: { layout: "llama", numHeads: 4 },
    shapes: llamaShapes(4, 4, 6),
    config: { headDim: 6, bias: false },
  },
  "llama, groups, heads of another width": {
    options: { layout: "llama", numHeads: 6, numKvHeads: 2 },
    shapes: llamaShapes(6, 2, 5),
    config: { numKvHeads: 2, headDim: 5, bias: false },
  },
  "llama, one group, biases": {
    options: { layout: "llama", numHeads: 4, numKvHeads: 1 },
    shapes: llamaShapes(4, 1, 6, true),
    config: { numKvHeads: 1, headDim: 6, bias: "qkv" },
  },
};
