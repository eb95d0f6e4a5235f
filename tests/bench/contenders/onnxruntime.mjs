// onnxruntime-web, on WebAssembly: its own contrib operators for attention.
import { headsFirst } from "../inputs.mjs";
import { isDecoder } from "../models.mjs";
import { attentionBlock, attentionCore } from "./onnx_models.mjs";
import { decoder, encoder } from "./onnx_transformers.mjs";

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

const sessionOptions = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };

export async function prepare(row, kind, inputs, { threads, folders }) {
  const ort = await runtime(folders.onnxruntime, threads);
  const model = kind === "core" ? attentionCore(row) : attentionBlock(row, inputs);
  const session = await ort.InferenceSession.create(model, sessionOptions);
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

/** The graphs of a whole model that race, by the operators of attention and of linear layers. */
export function graphs(row) {
  const [attention, other] = ["MultiHeadAttention", isDecoder(row) ? "GroupQueryAttention" : "Attention"];
  const formats = ["MatMulInteger", "DynamicQuantizeMatMul"];
  const blocks = row.P > 0 ? ["MatMulNBits 8", "MatMulNBits 4"] : [];
  const narrow = (format, own) => ({
    name: format,
    dtype: format.endsWith("4") ? "int4" : "int8",
    format,
    attention: own,
  });
  return [
    ...[attention, other].map((own) => ({ name: own, dtype: "F32", format: "MatMul", attention: own })),
    ...formats.map((format) => narrow(format, attention)), // as PyTorch's exports are quantised
    ...blocks.map((format) => narrow(format, other)), // as ONNX Runtime GenAI builds decoders
  ];
}

const pasts = new WeakMap();

/** The keys and values of a row's first P tokens, { data, dims } of each layer: all graphs decode behind the same. */
function pastOf(ort, row, inputs) {
  if (!pasts.has(inputs)) pasts.set(inputs, computePast(ort, row, inputs));
  return pasts.get(inputs);
}

async function computePast(ort, { config, P }, { tokens, parameters }) {
  const graph = { format: "MatMul", attention: "GroupQueryAttention" };
  const model = decoder({ config, L: P, P: 0 }, parameters, graph);
  const session = await ort.InferenceSession.create(model, sessionOptions);
  const none = new ort.Tensor("float32", [], [1, config.numKvHeads, 0, config.embedDim / config.numHeads]);
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, none]));
  const found = await session.run({ ...feeds, tokens: new ort.Tensor("int32", tokens.slice(0, P), [1, P]) });
  const present = session.outputNames.slice(1).map((name) => found[name]);
  await session.release();
  return present.map(({ data, dims }) => ({ data, dims }));
}

export async function prepareModel(row, graph, inputs, { threads, folders }) {
  const ort = await runtime(folders.onnxruntime, threads);
  const { L, P } = row;
  const past = P > 0 ? await pastOf(ort, row, inputs) : [];
  const model = (isDecoder(row) ? decoder : encoder)(row, inputs.parameters, graph);
  const session = await ort.InferenceSession.create(model, sessionOptions);
  const ids = inputs.tokens.slice(P);
  const [result] = session.outputNames;
  const names = session.inputNames.filter((name) => name !== "tokens");
  const empty = { data: [], dims: [1, row.config.numKvHeads, 0, row.config.embedDim / row.config.numHeads] };
  const cache = names.map((name, n) => {
    const { data, dims } = past[n] ?? empty;
    return [name, new ort.Tensor("float32", data, dims)];
  });
  const feeds = () => ({ tokens: new ort.Tensor("int32", ids, [1, L]), ...Object.fromEntries(cache) });
  return {
    run: async () => (await session.run(feeds()))[result].data,
    dispose: () => session.release(),
  };
}
