/** Starts a binary: its memory, its JavaScript code and its pool of threads. */
import { HeadwiseError } from "../base/errors.js";
import { ThreadsRefused, type Choice } from "./choose.js";
import create from "./emscripten-caller.mjs";
import type { Stage } from "./limit.js";
import type { Native } from "./native.js";
import { compile, type Source } from "./sources.js";
import { startThread, type Thread } from "./threads.js";

/** A running binary, its memory, and the function that ends its threads. */
export interface Started {
  readonly native: Native;
  readonly memory: WebAssembly.Memory;
  readonly endThreads: () => void;
}

/** As the binaries are linked (bindings/CMakeLists.txt): from 4 MiB to 4 GiB, in pages of 64 KiB. */
const pages = { initial: 64, maximum: 65536 };

export async function start({ binary, threads }: Choice, source: Source, stage: Stage): Promise<Started> {
  const pool: Thread[] = [];
  const endThreads = () => pool.forEach((thread) => thread.terminate());
  stage.free = endThreads;
  try {
    stage.waitFor(`headwise-${binary}.wasm${source instanceof URL ? ` from ${source.href}` : ""}`, "invalid-file");
    const module = await compile(source);
    stage.waitFor(`${threads - 1} workers that run thread.js, beside the package's other files`, "worker-lost");
    const memory = new WebAssembly.Memory({ ...pages, shared: threads > 1 });
    const native = await new Promise<Native>((resolve, reject) => {
      const makeThread = () => {
        const failed = (why: string) => reject(new ThreadsRefused("unsupported", `a thread could not start: ${why}`));
        const thread = startThread(failed);
        pool.push(thread);
        return thread;
      };
      create({
        wasmMemory: memory,
        poolSize: threads - 1,
        makeThread,
        instantiateWasm(imports, receive) {
          WebAssembly.instantiate(module, imports)
            .then((instance) => receive(instance, module))
            .catch(reject);
          return {};
        },
      }).then(resolve, reject);
    });
    for (const thread of pool) thread.unref?.();
    return { native, memory, endThreads };
  } catch (error) {
    endThreads();
    if (error instanceof HeadwiseError) throw error;
    const code = error instanceof RangeError ? "out-of-memory" : "unsupported";
    throw new HeadwiseError(code, `could not start headwise-${binary}.wasm: ${(error as Error)?.message ?? error}`, {
      cause: error,
    });
  }
}
