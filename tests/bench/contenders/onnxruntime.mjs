// onnxruntime-web, on WebAssembly: its own contrib operators for attention.
import { headsFirst } from "../inputs.mjs";
import { attentionBlock, attentionCore } from "./onnx_models.mjs";

export const name = "onnxruntime";
export const threadCounts = [1, 2];

const loaded = new Map();

/** A copy of its own, since its number of threads is set once a copy. */
async function copy(folder, threads) {
  if (globalThis.process?.versions?.node === undefined) {
    return import(/* @vite-ignore */ `${folder}ort.wasm.bundle.min.mjs?threads=${threads}`);
  }
  // As ES modules, all copies would share one onnxruntime-common, which refuses the second's backend.
  const require = process.getBuiltinModule("node:module").createRequire(folder);
  for (const file of Object.keys(require.cache)) if (file.includes("/onnxruntime-")) delete require.cache[file];
  return require("./ort.node.min.js");
}

async function runtime(folder, threads) {
  if (!loaded.has(threads)) {
    const ort = await copy(folder, threads);
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = folder;
    ort.env.logLevel = "error";
    loaded.set(threads, ort);
  }
  return loaded.get(threads);
}

export async function prepare(row, kind, inputs, { threads, folders }) {
  const ort = await runtime(folders.onnxruntime, threads);
  const model = kind === "core" ? attentionCore(row) : attentionBlock(row, inputs);
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
  const session = await ort.InferenceSession.create(model, options);
  const { B, L, S, E, H, D } = row;
  const tensor = (data, length) => new ort.Tensor("float32", data, [B, length, E]);
  // Its cache goes in with every call and comes out with every result: on WebAssembly it offers nothing else.
  const past =
    kind === "block" && S > L
      ? headsFirst(Float32Array.from([...inputs.pastKey, ...inputs.pastValue]), { ...row, B: 2, S: S - L })
      : undefined;
  const feeds =
    kind === "core"
      ? () => ({ query: tensor(inputs.query, L), key: tensor(inputs.key, S), value: tensor(inputs.value, S) })
      : () => ({
          x: tensor(inputs.x, L),
          ...(past && { past: new ort.Tensor("float32", past, [2, B, H, S - L, D]) }),
        });
  return {
    run: async () => (await session.run(feeds())).output.data,
    dispose: () => session.release(),
  };
}
