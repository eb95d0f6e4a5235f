// ONNX's own node tests as calls of Headwise: how the operators' inputs and attributes map onto hw.attention and
// hw.rotaryEmbedding.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { root } from "../../tools/steps.mjs";

/** Where the cases are: beside the repository, or where HEADWISE_ONNX_CASES says. */
export const folder = join(process.env.HEADWISE_ONNX_CASES ?? join(root, "../shared/onnx-attention"), "cases");

/** Float16 to numbers, by its bits. */
function widen(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : fraction * 2 ** -24);
}

/** The float16 nearest to x, ties to even; within float16's range. */
export function roundToHalf(x) {
  if (!Number.isFinite(x) || x === 0) return x;
  const step = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -14) - 10);
  const [floor, rest] = [Math.floor(x / step), x / step - Math.floor(x / step)];
  return step * (rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor);
}

const arrays = {
  float32: Float32Array,
  float16: Uint16Array,
  bool: Uint8Array,
  int64: BigInt64Array,
};

function decode({ dtype, dims, data }) {
  const { buffer } = Uint8Array.from(Buffer.from(data, "base64"));
  const array = new arrays[dtype](buffer);
  return { data: dtype === "float16" ? Float32Array.from(array, widen) : array, shape: dims, dtype };
}

/** All cases with their tensors by slot: inputs and outputs, some undefined. Undefined where the folder is missing. */
export function readCases() {
  if (!existsSync(folder)) return undefined;
  const files = readdirSync(folder).filter((name) => name.startsWith("test_"));
  return files.map((name) => {
    const { inputs, outputs, ...rest } = JSON.parse(readFileSync(join(folder, name), "utf8"));
    const bySlot = (tensors) => Object.fromEntries(tensors.map((t) => [t.slot, decode(t)]));
    return { ...rest, inputs: bySlot(inputs), outputs: bySlot(outputs) };
  });
}

const stages = ["scores", "capped", "masked", "probabilities"]; // by qk_matmul_output_mode

function attention(hw, { inputs, outputs, attributes }) {
  const [query, key, value] = [inputs[0], inputs[1], inputs[2]];
  const window = { left: attributes.left_window_size ?? -1, right: attributes.right_window_size ?? -1 };
  const rank3 = query.shape.length === 3;
  const keyLengths = inputs[6] && Int32Array.from(inputs[6].data, Number);
  const { output, present, weights } = hw.attention(query, key, value, {
    numHeads: rank3 ? attributes.q_num_heads : undefined,
    numKvHeads: rank3 ? attributes.kv_num_heads : undefined,
    mask: inputs[3],
    causal: Boolean(attributes.is_causal),
    window: {
      left: window.left < 0 ? undefined : window.left,
      right: window.right < 0 ? undefined : window.right,
    },
    past: inputs[4] && { key: inputs[4], value: inputs[5] },
    keyLengths,
    offset: keyLengths?.map((length) => length - query.shape.at(-2)),
    scale: attributes.scale,
    softcap: attributes.softcap,
    return: {
      weights: outputs[3] && stages[attributes.qk_matmul_output_mode ?? 0],
      present: outputs[1] !== undefined,
    },
  });
  return { 0: output, 1: present?.key, 2: present?.value, 3: weights };
}

function rotaryEmbedding(hw, { inputs, attributes }) {
  const [x, cos, sin, positions] = [inputs[0], inputs[1], inputs[2], inputs[3]];
  const output = hw.rotaryEmbedding(x, {
    numHeads: x.shape.length === 3 ? attributes.num_heads : undefined,
    positions: positions && Int32Array.from(positions.data, Number),
    dim: attributes.rotary_embedding_dim || undefined,
    interleaved: Boolean(attributes.interleaved),
    cos,
    sin,
  });
  return { 0: output };
}

/** What Headwise computes of a case, by slot. */
export const compute = (hw, each) => (each.op === "Attention" ? attention : rotaryEmbedding)(hw, each);
