const serviceWorker = globalThis.registration !== undefined; // workerd has the class ServiceWorkerGlobalScope, too
const describe = (error) => `${error.name} ${error.code}: ${error.message}`;

/** Integers / 128 in [-1, 1), which are exact in every engine. */
const values = (count) => Float32Array.from({ length: count }, (_, i) => ((i * 7919) % 256) / 128 - 1);

/** The files of a GPT-2 with one layer. */
function modelFiles({ tensor, writeSafetensors }) {
  const shapes = {
    "wte.weight": [16, 8],
    "wpe.weight": [8, 8],
    "h.0.attn.c_attn.weight": [8, 24],
    "h.0.attn.c_proj.weight": [8, 8],
    "h.0.mlp.c_fc.weight": [8, 16],
    "h.0.mlp.c_proj.weight": [16, 8],
  };
  const vectors = { "attn.c_attn": 24, "attn.c_proj": 8, "mlp.c_fc": 16, "mlp.c_proj": 8 };
  for (const [name, size] of Object.entries(vectors)) shapes[`h.0.${name}.bias`] = [size];
  for (const norm of ["h.0.ln_1", "h.0.ln_2", "ln_f"])
    for (const part of ["weight", "bias"]) shapes[`${norm}.${part}`] = [8];
  const config = { model_type: "gpt2", vocab_size: 16, n_positions: 8, n_embd: 8, n_layer: 1, n_head: 2, n_inner: 16 };
  const tensors = Object.entries(shapes).map(([name, shape]) => [
    name,
    tensor(values(shape.reduce((a, b) => a * b)), shape),
  ]);
  return {
    "config.json": Uint8Array.from(JSON.stringify(config), (letter) => letter.charCodeAt(0)),
    "model.safetensors": writeSafetensors(Object.fromEntries(tensors)),
  };
}

/** Logits of a published model, and an analysis of it. Service workers cannot import this code: there, the reason. */
async function openAndRun(hw, entry) {
  try {
    const model = await hw.openModel(modelFiles(entry));
    const { logits } = await model.forward([1, 2, 3]);
    const lens = await hw.logitLens(model, [1, 2, 3]);
    return [...logits.data, ...lens.data];
  } catch (error) {
    if (serviceWorker) return describe(error);
    throw error;
  }
}

/** A forward pass, and a published model, with an instance of its own: the same bits wherever the same instruction set runs. */
export async function compute(entry, options) {
  const { load, tensor } = entry;
  try {
    const hw = await load(options);
    const x = tensor(values(64 * 64), [64, 64]);
    const attention = await hw.multiHeadAttention({ embedDim: 64, numHeads: 4, seed: 1 });
    const { output } = await attention.forward(x, { causal: true });
    const logits = await openAndRun(hw, entry);
    await hw.dispose();
    return { info: hw.info, output: [...output.data], logits, serviceWorker };
  } catch (error) {
    return { error: describe(error) };
  }
}
