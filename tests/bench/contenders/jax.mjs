// jax-js on its WebAssembly backend, compiled by its jit. Calls take their arguments over: `ref` keeps one.
import { transpose } from "../inputs.mjs";

export const name = "jax-js";
/** In Node one thread; on isolated pages it takes as many workers as there are cores, whatever it is asked. */
const pool = globalThis.process === undefined && globalThis.crossOriginIsolated && navigator.hardwareConcurrency > 1;
export const threadCounts = pool ? [2] : [1];

let loading;

export function start() {
  const node = globalThis.process?.versions?.node;
  if (node !== undefined && Number.parseInt(node) < 22)
    throw new Error(`jax-js needs Node.js 22 or newer, not ${node}`);
  loading ??= (async () => {
    const jax = await import("@jax-js/jax");
    await jax.init("wasm");
    jax.defaultDevice("wasm");
    return jax;
  })();
  return loading;
}

export async function prepare(row, kind, inputs) {
  const { jit, nn, numpy: np } = await start();
  const { B, L, S, E, H, D, causal } = row;
  const attend = (query, key, value) => nn.dotProductAttention(query, key, value, { isCausal: causal });
  const finish = async (result) => new Float32Array(await result.data());
  if (kind === "core") {
    const core = jit(attend);
    const split = (data, length) => np.array(data, { shape: [B, length, H, D] });
    return {
      run: () => finish(core(split(inputs.query, L), split(inputs.key, S), split(inputs.value, S))),
      dispose: () => core.dispose(),
    };
  }
  const parameters = ["q", "k", "v", "out"].flatMap((p) => [
    np.array(transpose(inputs[p].weight, E), { shape: [E, E] }),
    np.array(inputs[p].bias, { shape: [E] }),
  ]);
  const block = jit((x, wq, bq, wk, bk, wv, bv, wo, bo) => {
    const heads = (input, w, b) => np.matmul(input, w).add(b).reshape([B, L, H, D]);
    const attended = attend(heads(x.ref, wq, bq), heads(x.ref, wk, bk), heads(x, wv, bv));
    return np.matmul(attended.reshape([B, L, E]), wo).add(bo);
  });
  return {
    run: () => finish(block(np.array(inputs.x, { shape: [B, L, E] }), ...parameters.map((p) => p.ref))),
    dispose() {
      block.dispose();
      for (const parameter of parameters) parameter.dispose();
    },
  };
}
