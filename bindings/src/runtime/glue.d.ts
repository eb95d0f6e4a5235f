// Modules without types of their own, and what the bundler puts in.

// Emscripten's JavaScript, as tools/glue.mjs makes it: of the binaries of one thread, of those with a pool, of a pool's thread.
declare module "*-single.mjs" {
  const create: import("./native.js").CreateNative;
  export default create;
}
declare module "*-threads.mjs" {
  const create: import("./native.js").CreateNative;
  export default create;
}
declare module "*-thread.mjs" {
  /** `channel`: where it finds `postMessage`, and puts its `onmessage`. */
  export default function run(options: { channel: object }): Promise<unknown>;
}

/** Comlink's endpoint for a `worker_threads` Worker or port. */
declare module "comlink/dist/esm/node-adapter.mjs" {
  export default function nodeEndpoint(
    port: import("node:worker_threads").Worker | import("node:worker_threads").MessagePort,
  ): import("comlink").Endpoint;
}

/** Of package.json. */
declare const HEADWISE_VERSION: string;
