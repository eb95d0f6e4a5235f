// A TypeScript program that uses all of the package's types, and the settings with which it must compile as it is: strict,
// with the types of the package checked too, the oldest library that we promise for, and no other types: not even Node's.

// Every public type, and with each @ts-expect-error something that must be refused.
export const consumer = `
import {
  HeadwiseError, exportParameters, importParameters, load, readSafetensors, tensor, writeSafetensors,
} from "headwise";
import type {
  AnalyzeHeadsOptions, AttentionOptions, AttentionResult, ErrorCode, ExportParametersOptions, ForwardOptions,
  ForwardResult, HeadStatistics, Headwise, ImportParametersOptions, Info, KeysAndValues, KvCache, LoadOptions, Mask,
  MemoryUse, ModuleState, MultiHeadAttention, MultiHeadAttentionConfig, Parameters, ResolvedConfig, RopeConfig,
  RotaryEmbeddingOptions, Safetensors, SafetensorsInfo, StateDictLayout, Tensor, TensorLike, VisibilityOptions, WasmSource,
  WeightsStage, WriteSafetensorsOptions,
} from "headwise";
import type {
  Batch, FineTune, HeadImportance, HeadImportanceOptions, ImportanceMethod, ImportanceSource, ModelCost, Progress,
  PruneOptions, PruneResult, RemovedHead, Transformer, Watchable,
} from "headwise";
import * as worker from "headwise/worker";
import type { WorkerTransformer } from "headwise/worker";
import type { Abortable, WorkerHeadwise, WorkerKvCache, WorkerLoadOptions, WorkerMultiHeadAttention } from "headwise/worker";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Equal<A, B>) => {};

export async function onThisThread(): Promise<HeadStatistics[]> {
  const { signal } = new AbortController();
  const from = new URL("https://example.com");
  const options: LoadOptions = { threads: 2, simd: "auto", wasm: (file) => new URL(file, from), timeout: 1000, signal };
  const hw: Headwise = await load(options);
  await load({ wasm: async (file): Promise<WasmSource> => fetch(new URL(file, from).href) });
  await load({ wasm: from });
  const info: Info = hw.info;
  const memory: MemoryUse = hw.memory();
  const text: string = info.version + info.reason + info.simd + String(info.threads + memory.usedBytes);

  const x: Tensor = tensor(new Float32Array(12), [3, 4]);
  const foreign: TensorLike = { data: x.data, dims: [3, 4] };
  const mask: Mask = { data: new BigInt64Array(9), shape: [3, 3] };
  const attentionOptions: AttentionOptions = { mask, causal: true, offset: 0, scale: 1, return: { weights: "probabilities" } };
  const result: AttentionResult = hw.attention(x, foreign, x, attentionOptions);
  const visibility: VisibilityOptions = { window: { left: 3 }, offset: new Int32Array(1) };
  const rotary: RotaryEmbeddingOptions = { positions: new Int32Array(3), cos: x, sin: foreign, interleaved: true };
  const turned: Tensor = hw.rotaryEmbedding(x, rotary);
  const stage: WeightsStage = "masked";
  const grouped = hw.attention(turned, x, x, { ...visibility, numHeads: 2, numKvHeads: 1, softcap: 2, return: { weights: stage, present: true } });
  const past: KeysAndValues<Tensor> = grouped.present; // asked for, so it is there
  const next = hw.attention(x, x, grouped.weights, { past, return: { present: false } });
  const analyze: AnalyzeHeadsOptions = { keyLengths: new Int32Array(1), causal: true, tokens: new Int32Array(3) };
  const statistics: HeadStatistics[] = result.weights ? hw.analyzeHeads(result.weights, analyze) : [];
  const entropy: number | undefined = statistics[0]?.entropy ?? statistics[0]?.induction;

  const config: MultiHeadAttentionConfig = { embedDim: 4, numHeads: 2, bias: "qkv", seed: 1, numKvHeads: 1, alibi: false, softcap: 30 };
  const rope: RopeConfig = { base: 5e5, dim: 2, interleaved: true };
  const module: MultiHeadAttention = hw.multiHeadAttention(config);
  const resolved: ResolvedConfig = module.config;
  const parameters: Parameters = module.parameters();
  module.setParameters({ "q_proj.weight": { data: new Float32Array(16), dims: [4, 4] } });
  const forward: ForwardOptions = { mask, return: { weights: "probabilities", heads: "contributions" } };
  const one: ForwardResult = module.forward(x, forward);
  const asked = module.forward(x, { return: { weights: "probabilities", heads: "values" } });
  const sizes: number[] = [asked.weights.data.length, asked.heads.data.length]; // asked for, so they are there
  sizes.push(hw.attention(x, x, x, { return: { weights: "probabilities" } }).weights.data.length);
  module.forward(x, x, forward);
  module.forward(x, x, x, forward);
  const smaller: MultiHeadAttention = module.prune([0]);
  module.setHeadGates(smaller.headGates);
  const decoder = hw.multiHeadAttention({ ...smaller.config, rope, headGroups: [0] });
  const cache: KvCache = decoder.cache({ batch: 1, capacity: 8 });
  const positions: Int32Array = cache.length;
  sizes.push(decoder.forward(x, { cache, positions, window: { left: 2 }, return: { weights: "capped" } }).weights.data.length);
  cache.reset();
  cache.dispose();
  const groups: readonly number[] | undefined = decoder.config.headGroups;

  const dtype: WriteSafetensorsOptions = { dtype: "BF16", metadata: { made: "here" } };
  const file: Safetensors = readSafetensors(writeSafetensors({ output: one.output, ...parameters }, dtype));
  const described: SafetensorsInfo = file.info("output");
  new Blob([writeSafetensors({})]); // which takes no bytes of shared memory, and says so since TypeScript 5.9
  same<typeof file.names, readonly string[]>(true);

  const layout: StateDictLayout = "llama";
  const importing: ImportParametersOptions = { layout, prefix: "model.layers.0", numHeads: 4, numKvHeads: 2 };
  const state: ModuleState = importParameters(file, importing);
  hw.multiHeadAttention(state.config).setParameters(state.parameters);
  importParameters({ in_proj_weight: x, "out_proj.weight": foreign }, { layout: "torch", numHeads: 4 });
  const exporting: ExportParametersOptions = { layout };
  const exported: Parameters[] = [exportParameters(state, exporting), exportParameters(module, exporting)];
  writeSafetensors(exported[0]!, { dtype: "F16" });

  try {
    hw.dispose();
  } catch (error) {
    const code: ErrorCode | undefined = error instanceof HeadwiseError ? error.code : undefined;
    // @ts-expect-error: no such code
    if (code === "wrong") throw error;
  }

  // @ts-expect-error: no such option
  await load({ thread: 2 });
  // @ts-expect-error: no such instruction set
  await load({ simd: "avx" });
  // @ts-expect-error: the worker is an option of headwise/worker alone
  await load({ worker: new Worker("x") });
  // @ts-expect-error: a plain array is no Float32Array
  tensor([1, 2], [2]);
  // @ts-expect-error: no shape
  hw.attention(x, x, { data: x.data });
  // @ts-expect-error: numHeads is a number
  hw.attention(x, x, x, { numHeads: "2" });
  // @ts-expect-error: not asked for
  next.present.key;
  // @ts-expect-error: no such stage
  hw.attention(x, x, x, { return: { weights: "softmax" } });
  // @ts-expect-error: a past is keys and values
  hw.attention(x, x, x, { past: { key: x } });
  // @ts-expect-error: no state dict tells numHeads
  importParameters(file, { layout: "bert" });
  // @ts-expect-error: no such layout
  exportParameters(module, { layout: "t5" });
  // @ts-expect-error: no such type
  writeSafetensors(exported[1]!, { dtype: "F64" });
  // @ts-expect-error: weights may be missing
  result.weights.data;
  // @ts-expect-error: embedDim is required
  hw.multiHeadAttention({ numHeads: 2 });
  // @ts-expect-error: a capacity is required
  module.cache({ batch: 1 });
  // @ts-expect-error: no cache
  module.forward(x, { cache: { length: positions } });
  // @ts-expect-error: no such stage
  module.forward(x, { return: { weights: "logits" } });
  // @ts-expect-error: results are read-only
  result.output = x;
  // @ts-expect-error: cancelling is for headwise/worker
  hw.attention(x, x, x, { signal: new AbortController().signal });
  console.log(text, entropy, groups, resolved.headDim, described.shape);
  return statistics;
}

export function measureAndPrune(hw: Headwise, model: Transformer): Transformer {
  const batch: Batch = { tokens: new Int32Array(3), targets: { data: new Int32Array(3), shape: [1, 3] } };
  const method: ImportanceMethod = "gradient";
  const how: HeadImportanceOptions = { method, normalize: "layer", seed: 1 };
  const watched: Watchable = { onProgress: ({ done, total }: Progress) => console.log(done / total) };
  const importance: HeadImportance = hw.headImportance(model, [batch], { ...how, ...watched });
  const source: ImportanceSource = { ...how, batches: [batch] };
  const fineTune: FineTune = { optimizer: { lr: 1 }, steps: 3 };
  const options: PruneOptions = { maxLossIncrease: 0.01, reestimate: 1, keepOnePerLayer: false, batches: [batch], fineTune };
  const result: PruneResult = hw.pruneByImportance(model, source, { ...options, ...watched });
  const train = (smaller: Transformer) => smaller.zeroGradients();
  const { after, removed } = hw.pruneByImportance(model, importance, { fraction: 0.5, fineTune: train });
  const [cost, first]: [ModelCost, RemovedHead | undefined] = [after, removed[0]];
  // @ts-expect-error: no such method
  hw.headImportance(model, [batch], { method: "taylor" });
  // @ts-expect-error: what a transformer measures with is its own
  hw.headImportance(hw.multiHeadAttention({ embedDim: 4, numHeads: 2 }), [batch], how);
  // @ts-expect-error: cancelling is for headwise/worker
  hw.headImportance(model, [batch], { ...how, signal: new AbortController().signal });
  console.log(cost.milliseconds, cost.loss?.toFixed(2), first?.layer);
  return result.model;
}

export async function measureAndPruneInAWorker(hw: WorkerHeadwise, model: WorkerTransformer): Promise<WorkerTransformer> {
  const batches: Batch[] = [{ tokens: new Int32Array(3), targets: new Int32Array(3) }];
  const { signal } = new AbortController();
  const onProgress = (progress: Progress) => console.log(progress.done);
  const importance: HeadImportance = await hw.headImportance(model, batches, { method: "norm", signal, onProgress });
  const options: PruneOptions = { count: 1, fineTune: { optimizer: { lr: 1 }, steps: 3, batches } };
  const result: PruneResult<WorkerTransformer> = await hw.pruneByImportance(model, importance, { ...options, signal, onProgress });
  // @ts-expect-error: a function cannot be sent to the worker
  await hw.pruneByImportance(model, importance, { count: 1, fineTune: () => {} });
  return result.model;
}

export async function inAWorker(): Promise<Tensor> {
  const options: WorkerLoadOptions = { threads: "auto", worker: () => new Worker("x", { type: "module" }) };
  const hw: WorkerHeadwise = await worker.load(options);
  const cancel: Abortable = { signal: new AbortController().signal };
  const x = worker.tensor(new Float32Array(12), [3, 4]);
  const { output, weights }: AttentionResult = await hw.attention(x, x, x, { causal: true, ...cancel });
  const { present } = await hw.attention(x, x, await hw.rotaryEmbedding(x, { base: 100, ...cancel }), { return: { present: true } });
  const statistics: HeadStatistics[] = await hw.analyzeHeads(weights ?? output);
  const module: WorkerMultiHeadAttention = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
  const numbers: number[] = [module.numHeads, module.parameterCount, ...module.keptHeads, statistics.length];
  const gates: Float32Array = await module.getHeadGates();
  const memory: MemoryUse = await hw.memory();
  const cache: WorkerKvCache = await module.cache({ batch: 1, capacity: 8, ...cancel });
  const length: Int32Array = await cache.getLength();
  await module.forward(x, { cache, ...cancel });
  await cache.reset(cancel);
  const exported: Tensor | undefined = (await worker.exportParameters(module, { layout: "torch" }))["in_proj_weight"];

  // @ts-expect-error: a getter with data is a method here
  cache.length;
  // @ts-expect-error: methods return promises
  hw.attention(x, x, x).output;
  // @ts-expect-error: a getter with data is a method here
  module.headGates;
  // @ts-expect-error: no signal
  await module.forward(x, { signal: "stop" });
  await module.dispose();
  await hw.dispose();
  console.log(numbers, gates, length, cache.capacity, memory.liveObjects, present.key.shape, exported);
  return output;
}
`;

const strict = { strict: true, target: "ES2020", lib: ["ES2020", "DOM"], types: [], noEmit: true, skipLibCheck: false };
export const settings = {
  node16: { ...strict, module: "node16", moduleResolution: "node16" },
  nodenext: { ...strict, module: "nodenext", moduleResolution: "nodenext" },
  bundler: { ...strict, module: "esnext", moduleResolution: "bundler" },
};
