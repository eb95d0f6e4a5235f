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
  const cached = S > L;
  const pasts = cached ? [inputs.pastKey, inputs.pastValue] : [];
  const past = pasts.map((data) => np.array(data, { shape: [B, S - L, H, D] }));
  const block = jit((x, wq, bq, wk, bk, wv, bv, wo, bo, pastKey, pastValue) => {
    const heads = (input, w, b) => np.matmul(input, w).add(b).reshape([B, L, H, D]);
    const append = (before, fresh) => (cached ? np.concatenate([before, fresh], 1) : fresh);
    const keep = (array) => (cached ? array.ref : array);
    const key = append(pastKey, heads(x.ref, wk, bk));
    const value = append(pastValue, heads(x.ref, wv, bv));
    const attended = attend(heads(x, wq, bq), keep(key), keep(value));
    const output = np.matmul(attended.reshape([B, L, E]), wo).add(bo);
    return cached ? [output, key, value] : [output];
  });
  return {
    run() {
      const x = np.array(inputs.x, { shape: [B, L, E] });
      const [output, ...cache] = block(x, ...[...parameters, ...past].map((p) => p.ref));
      for (const array of cache) array.dispose();
      return finish(output);
    },
    dispose() {
      block.dispose();
      for (const array of [...past, ...parameters]) array.dispose();
    },
  };
}
