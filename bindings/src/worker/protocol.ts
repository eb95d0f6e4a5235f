/** The messages between `headwise/worker` and the worker that computes. */
import { analysisNames, type AnalysisName } from "../inside/names.js";
import type { Source } from "../runtime/sources.js";
import type { Choice } from "../runtime/choose.js";
import type { ErrorCode } from "../base/errors.js";
import type { Info, LoadOptions } from "../runtime/types.js";
import type { Progress } from "../base/types.js";
import type { FileProgress } from "../files/types.js";
import type {
  WorkerAdamW,
  WorkerHeadwise,
  WorkerKvCache,
  WorkerMultiHeadAttention,
  WorkerOpenedModel,
  WorkerTransformer,
} from "./types.js";

/** A result, or an error as plain data, because Comlink would lose its code. */
export type Reply<T> =
  { readonly value: T } | { readonly error: { readonly code?: ErrorCode; readonly message: string } };

/** A call of a method of the instance (target 0) or of an object, with the method's name in `headwise`. */
export interface Call {
  readonly id: number;
  readonly target: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

/** A message outside Comlink, from a call whose options have `onProgress: true`. */
export interface ProgressMessage {
  readonly progressOf: number; // the call's id
  readonly progress: Progress | FileProgress;
}

type AsyncMethod = (...args: never) => Promise<unknown>;

/** The outside members of an object in the worker: values that do not change, and methods with their names in the worker. */
interface Surface<T> {
  readonly plain: readonly (keyof T & string)[];
  readonly methods: {
    readonly [Name in keyof T as T[Name] extends AsyncMethod ? Exclude<Name, "dispose"> : never]: string;
  };
  /** Plain values too, but not for users. */
  readonly inner?: readonly string[];
  /** Methods that return an AsyncGenerator; a Generator inside. */
  readonly generators?: readonly (keyof T & string)[];
}

const analysisMethods = Object.fromEntries(analysisNames.map((name) => [name, name])) as {
  [Name in AnalysisName]: string;
};

const headwise: Surface<WorkerHeadwise> = {
  plain: ["info"],
  methods: {
    memory: "memory",
    attention: "attention",
    rotaryEmbedding: "rotaryEmbedding",
    analyzeHeads: "analyzeHeads",
    multiHeadAttention: "multiHeadAttention",
    transformer: "transformer",
    loadTransformer: "loadTransformer",
    adamW: "adamW",
    headImportance: "headImportance",
    pruneByImportance: "pruneByImportance",
    openModel: "openModel",
    isCached: "isCached",
    clearCache: "clearCache",
    ...analysisMethods,
  },
};

const module: Surface<WorkerMultiHeadAttention> = {
  plain: ["config", "numHeads", "parameterCount", "keptHeads"],
  methods: {
    getHeadGates: "headGates",
    setHeadGates: "setHeadGates",
    forward: "forward",
    backward: "backward",
    gradients: "gradients",
    zeroGradients: "zeroGradients",
    parameters: "parameters",
    setParameters: "setParameters",
    prune: "prune",
    cache: "cache",
  },
};

const cache: Surface<WorkerKvCache> = { plain: ["capacity"], methods: { getLength: "length", reset: "reset" } };

const transformer: Surface<WorkerTransformer> = {
  plain: ["config", "parameterCount"],
  methods: {
    forward: "forward",
    accumulateGradients: "accumulateGradients",
    trainStep: "trainStep",
    evaluate: "evaluate",
    attention: "attention",
    parameters: "parameters",
    setParameters: "setParameters",
    gradients: "gradients",
    zeroGradients: "zeroGradients",
    prune: "prune",
    convert: "convert",
    groupHeads: "groupHeads",
    save: "save",
  },
  generators: ["generate"],
};

const model: Surface<WorkerOpenedModel> = {
  plain: [...transformer.plain, "architecture", "dtype", "labels", "stopTokens"],
  inner: ["key"],
  methods: { ...transformer.methods, embed: "embed" },
  generators: ["generate"],
};

const optimizer: Surface<WorkerAdamW> = {
  plain: [],
  methods: { getSteps: "steps", getSkippedSteps: "skippedSteps", step: "step" },
};

/** By kind, which error messages name. An iterator is what a generator method has returned. */
export const surfaces = {
  headwise,
  module,
  cache,
  transformer,
  model,
  optimizer,
  iterator: { plain: [], methods: {} },
};

export type Kind = keyof typeof surfaces;

/** The property that marks a reference in arguments and results. */
export const remoteMark = "headwise:object";

/** A reference to an object in the worker. As an argument it has no plain values. */
export interface RemoteReference {
  readonly [remoteMark]: number; // its target
  readonly kind: Kind;
  readonly plain?: Readonly<Record<string, unknown>>;
}

/** A source that can be sent: addresses are strings. */
export type SentSource = Exclude<Source, URL | Response> | string | undefined;

/** What the worker exposes. */
export interface Host {
  /** Chooses the binary. Holds the Web Lock `lock` until the worker dies, if Web Locks are available (`locked`). */
  choose(
    options: Required<Pick<LoadOptions, "threads" | "simd">>,
    lock: string,
    refused: string | undefined,
  ): Promise<Reply<{ choice: Choice; locked: boolean }>>;
  /**
   * Starts the binary, without a source from the package's own file. `analyses`: the address of worker-analyses.js. Returns the reason
   * if its threads could not be started.
   */
  start(choice: Choice, source: SentSource, analyses: string): Promise<Reply<Info | { refused: string }>>;
  /** Stops a start. The worker can be used again. */
  release(): void;
  /** Runs a call after all earlier ones. */
  call(call: Call): Promise<Reply<unknown>>;
  /** Drops a call that has not begun, stops long work, and undoes what the last call did to a cache. */
  abort(id: number): void;
}
