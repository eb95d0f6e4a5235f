/** The embind table (bindings/embind.cpp) as JavaScript sees it. `npm test` checks it against `--emit-tsd`. */

import type { Thread } from "./threads.js";

/** An address in the WebAssembly memory; 0 where there is nothing. */
type Pointer = number;

export interface VisibilityCall {
  maskType: number;
  mask: Pointer;
  maskBatch: number;
  maskHeads: number;
  maskQueries: number;
  maskKeys: number;
  keyMask: Pointer;
  keyMaskBatch: number;
  keyMaskKeys: number;
  causal: boolean;
  windowLeft: number;
  windowRight: number;
  offsets: Pointer;
  keyLengths: Pointer;
}

/** Omitted if all keys are visible. */
export type VisibilityArgument = [] | [VisibilityCall];

export interface AttentionCall {
  batch: number;
  heads: number;
  kvHeads: number;
  queries: number;
  past: number;
  keys: number;
  headDim: number;
  valueHeadDim: number;
  headsFirst: boolean;
  query: Pointer;
  key: Pointer;
  value: Pointer;
  output: Pointer;
  pastKey: Pointer;
  pastValue: Pointer;
  presentKey: Pointer;
  presentValue: Pointer;
  weights: Pointer;
  gates: Pointer;
  weightsStage: number;
  scale: number;
  softcap: number;
}

export interface RotaryCall {
  batch: number;
  heads: number;
  length: number;
  headDim: number;
  headsFirst: boolean;
  input: Pointer;
  output: Pointer;
  dim: number;
  interleaved: boolean;
  base: number;
  positions: Pointer;
  cos: Pointer;
  sin: Pointer;
}

export interface AnalysisCall {
  batch: number;
  heads: number;
  queries: number;
  keys: number;
  weights: Pointer;
  statistics: Pointer;
  tokens: Pointer;
  tokensOfEachRow: boolean;
}

export interface ForwardArgs {
  batch: number;
  queries: number;
  keys: number;
  query: Pointer;
  key: Pointer;
  value: Pointer;
  queryPositions: Pointer;
  keyPositions: Pointer;
  inputs: number;
  output: Pointer;
  weights: Pointer;
  weightsStage: number;
  headOutput: number;
  heads: Pointer;
}

/** How the core keeps matrices in memory, in the order of its numbers. */
export const dtypes = ["f32", "bf16", "int8"] as const;

export interface NativeConfig {
  embedDim: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  valueHeadDim: number;
  keyDim: number;
  valueDim: number;
  outputDim: number;
  qkvBias: boolean;
  outBias: boolean;
  scale: number;
  softcap: number;
  ropeDim: number;
  ropeBase: number;
  ropeInterleaved: boolean;
  ropeFactor: number;
  alibi: boolean;
  queryKeyNorm: boolean;
  normEpsilon: number;
  weightFormat: number;
}

export interface NativeCache {
  delete(): void;
}

/** Moments of one module's gradients. */
export interface NativeMoments {
  delete(): void;
}

/** The methods of a module or a transformer that an optimizer calls. */
export interface NativeTrained {
  enableGradients(): number;
  moments(): NativeMoments | null;
  sumOfSquares(): number;
  update(moments: NativeMoments, step: AdamWStep): void;
}

export interface NativeModule extends NativeTrained {
  getParameter(index: number, to: Pointer): void;
  setParameter(index: number, from: Pointer): number;
  getGates(to: Pointer): void;
  setGates(from: Pointer): void;
  getSlope(head: number): number;
  setSlope(head: number, slope: number): void;
  forward(call: ForwardArgs, cache: NativeCache | null, ...visibility: VisibilityArgument): number;
  trainForward(call: ForwardArgs, dropoutRate: number, dropoutSeed: number, ...visibility: VisibilityArgument): number;
  backward(output: Pointer, weights: Pointer, query: Pointer, key: Pointer, value: Pointer): number;
  getGradient(index: number, to: Pointer): void;
  getGateGradient(to: Pointer): void;
  zeroGradients(): void;
  keepHeads(kept: Pointer, count: number): NativeModule | null;
  cache(batch: number, capacity: number): NativeCache | null;
  delete(): void;
}

export interface NativeTransformerConfig {
  vocabSize: number;
  contextLength: number;
  layers: number;
  embedDim: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  feedForwardDim: number;
  causal: boolean;
  dropout: number;
  seed: number;
  norm: { kind: number; bias: boolean; epsilon: number };
  normBefore: boolean;
  normAfter: boolean;
  normAfterSum: boolean;
  parallel: boolean;
  sharedNorm: boolean;
  embeddingNorm: boolean;
  finalNorm: boolean;
  queryKeyNorm: boolean;
  qkvBias: boolean;
  outBias: boolean;
  feedForwardBias: boolean;
  activation: number;
  gated: boolean;
  positions: number;
  scale: number;
  softcap: number;
  embeddingScale: number;
  tokenTypes: number;
  patchDim: number;
  registerTokens: number;
  patchBias: boolean;
  classToken: boolean;
  head: boolean;
  tieEmbeddings: boolean;
  headBias: boolean;
  headTransform: boolean;
  logitSoftcap: number;
  pooling: number;
  poolerActivation: number;
  classes: number;
  classBias: boolean;
  readoutBias: boolean;
  weightFormat: number;
}

/** Addresses; 0 of what is not given. */
export interface BatchCall {
  batch: number;
  length: number;
  tokens: Pointer;
  patches: Pointer;
  patchPositions: Pointer;
  positions: Pointer;
  tokenTypes: Pointer;
  mask: Pointer;
  targets: Pointer;
  pooledRows: Pointer;
}

/** Addresses; 0 of what is not wanted. */
export interface OutputsCall {
  logits: Pointer;
  logitRows: Pointer;
  hidden: Pointer;
  normScale: Pointer;
  pooled: Pointer;
  classes: Pointer;
  inside: InsideCall;
}

/** What is read and changed of the layers. */
export interface InsideCall {
  captures: Pointer;
  weightsStage: number;
  headOutput: number;
  edits: Pointer;
  editCount: number;
}

export interface DifferentiateResult {
  status: number;
  value: number;
}

export interface LossResult {
  status: number;
  loss: number;
  count: number;
  correct: number;
}

export interface AdamWStep {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
  correction1: number;
  correction2: number;
  gradientScale: number;
}

/** The keys and values of one sequence in all layers. */
export interface NativeSequence {
  reset(): void;
  delete(): void;
}

export interface NativeModel extends NativeTrained {
  getParameter(index: number, to: Pointer): void;
  setParameter(index: number, from: Pointer): number;
  getParameterPart(index: number, first: number, count: number, to: Pointer): void;
  setParameterPart(index: number, first: number, count: number, from: Pointer): number;
  getRawRows(index: number, first: number, count: number, to: Pointer, scales: Pointer): void;
  setRawRows(index: number, first: number, count: number, from: Pointer, scales: Pointer): void;
  getGradient(index: number, to: Pointer): void;
  getGateGradient(layer: number, to: Pointer): void;
  zeroGradients(): void;
  forward(call: BatchCall, outputs: OutputsCall): number;
  evaluate(call: BatchCall): LossResult;
  accumulate(call: BatchCall, fresh: boolean): LossResult;
  gateGradients(call: BatchCall, to: Pointer): number;
  enableGateGradients(): number;
  setFrequencies(frequencies: Pointer): void;
  startSequence(): NativeSequence | null;
  decode(sequence: NativeSequence, tokens: Pointer, count: number, logits: Pointer, inside: InsideCall): number;
  differentiate(
    call: BatchCall,
    rows: Pointer,
    answer: Pointer,
    against: Pointer,
    gradients: Pointer,
  ): DifferentiateResult;
  attention(layer: number): NativeModule | null;
  keepHeads(kept: Pointer, counts: Pointer): NativeModel | null;
  delete(): void;
}

export interface Engine {
  status(): number;
  stage(bytes: number): Pointer;
  releaseBuffers(): void;
  attention(call: AttentionCall, ...visibility: VisibilityArgument): number;
  rotaryEmbedding(call: RotaryCall): number;
  analyzeHeads(call: AnalysisCall, ...visibility: VisibilityArgument): number;
  multiHeadAttention(config: NativeConfig, kvHeads: Pointer, frequencies: Pointer, seed: number): NativeModule | null;
  transformer(config: NativeTransformerConfig, layers: Pointer, frequencies: Pointer): NativeModel | null;
  emptyTransformer(
    config: NativeTransformerConfig,
    layers: Pointer,
    frequencies: Pointer,
    kept: Pointer,
    counts: Pointer,
  ): NativeModel | null;
  usedBytes(): number;
  delete(): void;
}

export interface Native {
  Engine: new (threads: number, tileRows: number) => Engine;
}

/** The factory that an Emscripten module exports as its default. */
export type CreateNative = (options: {
  instantiateWasm(
    imports: WebAssembly.Imports,
    receive: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ): object;
  /** The memory to compute in; shared for the binaries with a pool. */
  wasmMemory: WebAssembly.Memory;
  /** Threads to start beside the calling one. */
  poolSize: number;
  /** Makes the worker of a thread. */
  makeThread(): Thread;
}) => Promise<Native>;
