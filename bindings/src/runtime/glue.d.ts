// Modules without types of their own, and constants that the bundler inserts.

// Emscripten's JavaScript as tools/glue.mjs changes it: for the caller, and for a thread of the pool.
declare module "*-caller.mjs" {
  const create: import("./native.js").CreateNative;
  export default create;
}
declare module "*-thread.mjs" {
  /** `channel`: has `postMessage`, and receives `onmessage`. */
  export default function run(options: { channel: object }): Promise<unknown>;
}

/** Comlink's endpoint for a `worker_threads` Worker or port. */
declare module "comlink/dist/esm/node-adapter.mjs" {
  export default function nodeEndpoint(
    port: import("node:worker_threads").Worker | import("node:worker_threads").MessagePort,
  ): import("comlink").Endpoint;
}

/** The version in package.json. */
declare const HEADWISE_VERSION: string;
