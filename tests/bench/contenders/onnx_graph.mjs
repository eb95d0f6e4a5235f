// An ONNX graph under construction, with linear layers and tables in several number formats.
import { constant, model, node } from "../../support/onnx_model.mjs";
import { transpose } from "../inputs.mjs";

/** Symmetric integers up to `largest`, and a scale for each `block` numbers. */
function quantise(weight, block, largest) {
  const integers = new Int8Array(weight.length);
  const scales = new Float32Array(weight.length / block);
  for (let b = 0; b < scales.length; ++b) {
    let most = 0;
    for (let n = b * block; n < (b + 1) * block; ++n) most = Math.max(most, Math.abs(weight[n]));
    scales[b] = most / largest || 1;
    for (let n = b * block; n < (b + 1) * block; ++n) integers[n] = Math.round(weight[n] / scales[b]);
  }
  return { integers, scales };
}

const NBITS_BLOCK = 32;

export class Graph {
  #nodes = [];
  #constants = [];
  #quantised = new Map(); // DynamicQuantizeLinear's outputs, by its input

  /** @param format of the linear layers: "MatMul", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulNBits 8" or "MatMulNBits 4" */
  constructor(format) {
    this.format = format;
  }

  constant(data, dims) {
    const name = `constant ${this.#constants.length}`;
    this.#constants.push(constant(name, data, dims));
    return name;
  }

  integers(values, dims = [values.length]) {
    return this.constant(BigInt64Array.from(values, BigInt), dims);
  }

  /** Adds an operator of ONNX. @returns its first output, or those that `outputs` counts */
  add(opType, inputs, attributes, outputs) {
    const names = Array.from({ length: outputs ?? 1 }, (_, n) => `${opType} ${this.#nodes.length} ${n}`);
    this.#nodes.push(node(opType, inputs, names, attributes));
    return outputs === undefined ? names[0] : names;
  }

  /** The same of ONNX Runtime's own operators. */
  contrib(opType, inputs, attributes, outputs) {
    return this.add(opType, inputs, { domain: "com.microsoft", ...attributes }, outputs);
  }

  /** A linear layer's weight [outputs, inputs] as a matrix [inputs, outputs]. */
  matrix(weight, outputs) {
    return this.constant(transpose(weight, outputs), [weight.length / outputs, outputs]);
  }

  /** The rows `ids` of a table [count, *]; integers have one scale for all, as quantisers of graphs give a Gather. */
  rows(table, count, ids) {
    const dims = [count, table.length / count];
    if (this.format === "MatMul") return this.add("Gather", [this.constant(table, dims), ids]);
    const { integers, scales } = quantise(table, table.length, 127);
    const found = this.add("Gather", [this.constant(integers, dims), ids]);
    return this.add("DequantizeLinear", [found, this.constant(scales, []), this.constant(new Int8Array(1), [])]);
  }

  /** x W^T.   weight: [outputs, inputs] */
  linear(x, weight, outputs) {
    if (this.format === "MatMul") return this.add("MatMul", [x, this.matrix(weight, outputs)]);
    const inputs = weight.length / outputs;
    const bits = /MatMulNBits (\d)/.exec(this.format)?.[1];
    if (bits !== undefined) return this.#blocks(x, weight, outputs, inputs, Number(bits));
    const { integers, scales } = quantise(weight, this.format.endsWith("one scale") ? weight.length : inputs, 127);
    const matrix = this.matrix(integers, outputs);
    const scale = this.constant(scales, [scales.length]);
    if (this.format === "DynamicQuantizeMatMul") return this.contrib("DynamicQuantizeMatMul", [x, matrix, scale]);
    if (!this.#quantised.has(x)) this.#quantised.set(x, this.add("DynamicQuantizeLinear", [x], {}, 3));
    const [bytes, ownScale, zero] = this.#quantised.get(x);
    const sums = this.add("MatMulInteger", [bytes, matrix, zero]);
    const floats = this.add("Cast", [sums], { ints: { to: 1 } });
    return this.add("Mul", [floats, this.add("Mul", [ownScale, scale])]);
  }

  #blocks(x, weight, outputs, inputs, bits) {
    const { integers, scales } = quantise(weight, NBITS_BLOCK, 2 ** (bits - 1) - 1);
    const bytes = new Uint8Array((weight.length * bits) / 8); // 4 bits: two numbers a byte, the first in its lower half
    for (let n = 0; n < weight.length; ++n) {
      const shifted = integers[n] + 2 ** (bits - 1);
      bytes[(n * bits) >> 3] |= shifted << ((n * bits) & 7);
    }
    const count = inputs / NBITS_BLOCK;
    const matrix = this.constant(bytes, [outputs, count, (NBITS_BLOCK * bits) / 8]);
    const ints = { K: inputs, N: outputs, bits, block_size: NBITS_BLOCK, accuracy_level: 4 };
    return this.contrib("MatMulNBits", [x, matrix, this.constant(scales, [outputs * count])], { ints });
  }

  /** The model as bytes. */
  finish(inputs, outputs) {
    return model({ opset: 17, inputs, outputs, initializer: this.#constants, nodes: this.#nodes });
  }
}
