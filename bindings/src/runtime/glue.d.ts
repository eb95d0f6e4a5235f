// Modules without types of their own, and what the bundler puts in.

// The JavaScript halves of the binaries, which CMake builds.
declare module "*-single.mjs" {
  const create: import("./native.js").CreateNative;
  export default create;
}
declare module "*-threads.mjs" {
  const create: import("./native.js").CreateNative;
  export default create;
}

/** Comlink's endpoint for a `worker_threads` Worker or port. */
declare module "comlink/dist/esm/node-adapter.mjs" {
  export default function nodeEndpoint(
    port: import("node:worker_threads").Worker | import("node:worker_threads").MessagePort,
  ): import("comlink").Endpoint;
}

/** Of package.json. */
declare const HEADWISE_VERSION: string;
