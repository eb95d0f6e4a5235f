/** The script of one thread of a pool: Emscripten's code for threads. threads.ts starts it; no file imports it. */
import run from "./emscripten-thread.mjs";
import { nodeBuiltin } from "./machine.js";

const port = nodeBuiltin("node:worker_threads")?.parentPort;
const channel = port ? { onmessage: null, postMessage: (message: unknown) => port.postMessage(message) } : globalThis;
port?.on("message", (data) => (channel as Worker).onmessage?.({ data } as MessageEvent));
void run({ channel });
