/** What passes between `headwise/worker` and the worker that computes. */
import type { Source } from "../runtime/sources.js";
import type { Choice } from "../runtime/choose.js";
import type { ErrorCode } from "../base/errors.js";
import type { Info, LoadOptions } from "../runtime/types.js";
import type { Progress } from "../base/types.js";
import type {
  WorkerAdamW,
  WorkerHeadwise,
  WorkerKvCache,
  WorkerMultiHeadAttention,
  WorkerTransformer,
} from "./types.js";

/** A result, or an error as plain data: Comlink would lose the code. */
export type Reply<T> =
  { readonly value: T } | { readonly error: { readonly code?: ErrorCode; readonly message: string } };

/** One method of the instance (target 0) or of an object, by the names of the surface that has no promises. */
export interface Call {
  readonly id: number;
  readonly target: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

/** A message of its own, besides Comlink's, from a call whose options have `onProgress: true`. */
export interface ProgressMessage {
  readonly progressOf: number; // the call's id
  readonly progress: Progress;
}

type AsyncMethod = (...args: never) => Promise<unknown>;

/** What of an object that lives in the worker is outside: values that do not change, and methods by their names inside. */
interface Surface<T> {
  readonly plain: readonly (keyof T & string)[];
  readonly methods: {
    readonly [Name in keyof T as T[Name] extends AsyncMethod ? Exclude<Name, "dispose"> : never]: string;
  };
  /** Methods that return an AsyncGenerator; a Generator inside. */
  readonly generators?: readonly (keyof T & string)[];
}

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
    save: "save",
  },
  generators: ["generate"],
};

const optimizer: Surface<WorkerAdamW> = {
  plain: [],
  methods: { getSteps: "steps", getSkippedSteps: "skippedSteps", step: "step" },
};

/** By kind, which error messages name. An iterator is what a generator method has returned. */
export const surfaces = { headwise, module, cache, transformer, optimizer, iterator: { plain: [], methods: {} } };

export type Kind = keyof typeof surfaces;

/** The name that an object goes by where it stands, anywhere in arguments or in a result. */
export const remoteMark = "headwise:object";

/** An object that lives in the worker, as it is sent; as an argument without its plain values. */
export interface RemoteReference {
  readonly [remoteMark]: number; // its target
  readonly kind: Kind;
  readonly plain?: Readonly<Record<string, unknown>>;
}

/** A source that can be sent: addresses travel as text. */
export type SentSource = Exclude<Source, URL | Response> | string | undefined;

/** What the worker exposes. */
export interface Host {
  /** Chooses the binary. Holds the Web Lock `lock` until the worker dies, where Web Locks can be had: `locked`. */
  choose(
    options: Required<Pick<LoadOptions, "threads" | "simd">>,
    lock: string,
    refused: string | undefined,
  ): Promise<Reply<{ choice: Choice; locked: boolean }>>;
  /** Starts it, from the package's own file where no source is given; or says why its threads could not be started. */
  start(choice: Choice, source: SentSource): Promise<Reply<Info | { refused: string }>>;
  /** Stops a start, and is free for another. */
  release(): void;
  /** Runs a call after all earlier ones. */
  call(call: Call): Promise<Reply<unknown>>;
  /** Drops a call unless it has begun; stops long work that has; takes back what the last call did to a cache. */
  abort(id: number): void;
}
