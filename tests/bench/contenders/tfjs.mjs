// TensorFlow.js on its WebAssembly backend: attention written with its operations, as it has no operator of its own.
import { headsFirst, transpose } from "../inputs.mjs";

export const name = "tfjs-wasm";
export const threadCounts = [1]; // for good, once its backend has started

let loading;

function start(folder) {
  loading ??= (async () => {
    const tf = await import("@tensorflow/tfjs-core");
    const { setThreadsCount, setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
    setThreadsCount(1);
    setWasmPaths(folder.startsWith("file:") ? decodeURIComponent(new URL(folder).pathname) : folder);
    if (!(await tf.setBackend("wasm"))) throw new Error("its WebAssembly backend did not start");
    return tf;
  })();
  return loading;
}

export async function prepare(row, kind, inputs, { folders }) {
  const tf = await start(folders.tfjs);
  const { B, L, S, E, H, D, causal } = row;
  const blocked = Float32Array.from({ length: causal ? L * S : 0 }, (_, n) => (n % S > Math.floor(n / S) ? -1e9 : 0));
  const mask = causal && tf.tensor(blocked, [1, L, S]);
  const heads = (x, length, order) => tf.transpose(tf.reshape(x, [B, length, H, D]), order);
  const softmax = (scores) => tf.softmax(mask ? tf.add(scores, mask) : scores);
  const scale = 1 / Math.sqrt(D);

  const past =
    kind === "block" && S > L
      ? [inputs.pastKey, inputs.pastValue].map((data) =>
          tf.tensor(headsFirst(data, { ...row, S: S - L }), [B, H, S - L, D]),
        )
      : undefined;
  const rows = (x, length) => heads(x, length, [0, 2, 1, 3]);
  const append = (n, x) => (past ? tf.concat([past[n], rows(x, L)], 2) : rows(x, S));
  const together = (query, key, value) => {
    const weights = softmax(tf.mul(tf.matMul(rows(query, L), append(0, key), false, true), scale));
    return tf.matMul(weights, append(1, value));
  };
  // Only its products of two matrices are fast (XNNPACK): twice as fast as the above for bert, and a
  // fifth of its speed for batch8, where the products are small and many.
  const byHead = (query, key, value) => {
    const split = (x, length, order, shape) => tf.unstack(tf.reshape(heads(x, length, order), [B * H, ...shape]));
    const queries = split(query, L, [0, 2, 1, 3], [L, D]);
    const keys = split(key, S, [0, 2, 3, 1], [D, S]);
    const values = split(value, S, [0, 2, 1, 3], [S, D]);
    const scores = tf.stack(queries.map((own, h) => tf.matMul(own, keys[h])));
    const weights = tf.unstack(softmax(tf.mul(scores, scale)));
    return tf.reshape(tf.stack(weights.map((own, h) => tf.matMul(own, values[h]))), [B, H, L, D]);
  };
  const attend = (query, key, value) => {
    const attended = (B === 1 && L >= 128 ? byHead : together)(query, key, value);
    return tf.reshape(tf.transpose(attended, [0, 2, 1, 3]), [B * L, E]);
  };
  const parameters =
    kind === "block" &&
    Object.fromEntries(
      ["q", "k", "v", "out"].map((p) => [
        p,
        { weight: tf.tensor(transpose(inputs[p].weight, E), [E, E]), bias: tf.tensor(inputs[p].bias, [E]) },
      ]),
    );
  const project = (x, { weight, bias }) => tf.add(tf.matMul(x, weight), bias);
  const compute = () => {
    if (kind === "core") return attend(...[inputs.query, inputs.key, inputs.value].map((x) => tf.tensor(x)));
    const x = tf.tensor(inputs.x, [B * L, E]);
    return project(attend(...["q", "k", "v"].map((p) => project(x, parameters[p]))), parameters.out);
  };
  return {
    run: () => tf.tidy(() => compute().dataSync()),
    dispose: () => tf.dispose([mask, parameters, past].filter(Boolean)),
  };
}
