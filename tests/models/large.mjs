// Models of 2 GB that take no room: tensors of zeros but for the last byte.
import { open } from "node:fs/promises";

export const tensorBytes = 32 << 20;
export const tensorCount = 64;

/** A file up to its data, and its size: of tensors by name and shape. */
function fileOf(shapes) {
  let end = 0;
  const entries = shapes.map(([name, shape]) => {
    const begin = end;
    end += 4 * shape.reduce((a, b) => a * b);
    return [name, { dtype: "F32", shape, data_offsets: [begin, end] }];
  });
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const head = Buffer.concat([Buffer.from(new BigUint64Array([BigInt(json.length)]).buffer), json]);
  return { head, size: head.length + end };
}

/** A file of so many tensors. */
export const largeFile = (tensors = tensorCount) =>
  fileOf(Array.from({ length: tensors }, (_, n) => [`layer.${n}.weight`, [2048, 4096]]));

/** A Llama of 2.08 GB in tensors of 4 and 16 MB: its config.json, and its file. */
export function largeLlama() {
  const [layers, width, inner] = [31, 1024, 4096];
  const config = {
    model_type: "llama",
    ...{ hidden_size: width, intermediate_size: inner, num_hidden_layers: layers, num_attention_heads: 8 },
    ...{ vocab_size: 97, max_position_embeddings: 128, tie_word_embeddings: true },
  };
  const layer = (n) =>
    Object.entries({
      ...{ input_layernorm: [width], post_attention_layernorm: [width] },
      ...Object.fromEntries(["q", "k", "v", "o"].map((part) => [`self_attn.${part}_proj`, [width, width]])),
      ...{ "mlp.gate_proj": [inner, width], "mlp.up_proj": [inner, width], "mlp.down_proj": [width, inner] },
    }).map(([name, shape]) => [`model.layers.${n}.${name}.weight`, shape]);
  const tensors = [
    ["model.embed_tokens.weight", [97, width]],
    ["model.norm.weight", [width]],
    ...Array.from({ length: layers }, (_, n) => layer(n)).flat(),
  ];
  return { config, file: fileOf(tensors) };
}

/** Writes a file, sparse. */
export async function writeLarge(path, { head, size } = largeFile()) {
  const file = await open(path, "w");
  await file.write(head);
  await file.write(Buffer.from([7]), 0, 1, size - 1);
  await file.close();
}
