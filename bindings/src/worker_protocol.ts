/** What passes between `headwise/worker` and the worker that computes. */
import type { Source } from "./binaries.js";
import type { Choice } from "./choose.js";
import type { ErrorCode } from "./errors.js";
import type { Info, LoadOptions, ResolvedConfig } from "./types.js";

/** A result, or an error as plain data: Comlink would lose the code. */
export type Reply<T> =
  { readonly value: T } | { readonly error: { readonly code?: ErrorCode; readonly message: string } };

/** One method of the instance (target 0), of a module or of a cache, by the names of the surface that has no promises. */
export interface Call {
  readonly id: number;
  readonly target: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

/** How a module that lives in the worker is described outside. */
export interface RemoteModule {
  readonly kind: "module";
  readonly target: number;
  readonly config: ResolvedConfig;
  readonly numHeads: number;
  readonly parameterCount: number;
  readonly keptHeads: readonly number[];
}

/** The same of a key/value cache. As an argument, it is its target alone. */
export interface RemoteCache {
  readonly kind: "cache";
  readonly target: number;
  readonly capacity: number;
}

/** A source that can be sent: addresses travel as text. */
export type SentSource = Exclude<Source, URL> | string | undefined;

/** What the worker exposes. */
export interface Host {
  /** Chooses the binary. Holds the Web Lock `lock` until the worker dies, where there are Web Locks. */
  choose(options: Required<Pick<LoadOptions, "threads" | "simd">>, lock: string): Promise<Reply<Choice>>;
  /** Starts it, from the package's own file where no source is given. */
  start(choice: Choice, source: SentSource): Promise<Reply<Info>>;
  /** Runs a call after all earlier ones. */
  call(call: Call): Promise<Reply<unknown>>;
  /** Drops a call unless it has begun; takes back what it did to a cache, unless another has begun. */
  abort(id: number): void;
}
