// The core alone, on data that lies in WebAssembly memory: the bench's own binary. It also measures the limits.
import { jspi } from "wasm-feature-detect";

import { readBytes } from "../rows.mjs";

export const name = "core";
export const threadCounts = [1, 2];

const loaded = new Map();

/** The bench's program for a number of threads. */
export async function program(folders, simd, threads) {
  const key = `${simd} ${threads}`;
  if (!loaded.has(key)) {
    const variant = threads > 1 ? `${simd}-threads` : simd;
    const { default: create } = await import(/* @vite-ignore */ folders.core[variant]);
    const module = await create({ poolSize: threads - 1 });
    const tileRows = simd === "relaxed" && (await jspi()) ? 6 : 4; // as bindings/src/choose.ts has it
    if (module._start(threads, tileRows) !== 0) throw new Error("could not start the threads");
    loaded.set(key, module);
  }
  return loaded.get(key);
}

/** Copies arrays into the program's memory, with room for a result behind. @returns addresses, the result's last */
export function place(module, arrays, resultLength) {
  let at = module._room(arrays.reduce((sum, { length }) => sum + length, resultLength));
  if (at === 0) throw new Error("out of memory");
  const heap = new Float32Array(module.wasmMemory.buffer);
  const addresses = arrays.map((array) => {
    heap.set(array, at / 4);
    at += 4 * array.length;
    return at - 4 * array.length;
  });
  return [...addresses, at];
}

/** [B, S, H*D] as [B, H, S, D], the way a key/value cache lies. */
function headsFirst(array, { B, S, H, D }) {
  const turned = new Float32Array(array.length);
  for (let b = 0; b < B; ++b)
    for (let j = 0; j < S; ++j)
      for (let h = 0; h < H; ++h) {
        const from = ((b * S + j) * H + h) * D;
        turned.set(array.subarray(from, from + D), ((b * H + h) * S + j) * D);
      }
  return turned;
}

function checkStatus(status) {
  if (status !== 0) throw new Error(`status ${status}`);
}

export async function prepare(row, kind, inputs, { threads, simd, folders }) {
  const module = await program(folders, simd, threads);
  const { B, L, S, E, H, D, causal } = row;
  if (kind === "block") {
    checkStatus(module._make_block(E, H));
    for (const [n, { weight, bias }] of [inputs.q, inputs.k, inputs.v, inputs.out].entries()) {
      module._set_projection(n, ...place(module, [weight, bias], 0).slice(0, 2));
    }
  }
  const cached = readBytes(row) !== undefined;
  const keysAndValues = [inputs.key, inputs.value].map((array) => (cached ? headsFirst(array, row) : array));
  const arrays = kind === "core" ? [inputs.query, ...keysAndValues] : [inputs.x];
  const addresses = place(module, arrays, B * L * E);
  const repeat = (n) =>
    checkStatus(
      kind === "core"
        ? module._run_core(B, H, L, S, D, causal, cached, ...addresses, 0, n)
        : module._run_block(B, L, causal, ...addresses, n),
    );
  return {
    repeat,
    run() {
      repeat(1);
      const output = addresses.at(-1) / 4;
      return new Float32Array(module.wasmMemory.buffer).slice(output, output + B * L * E);
    },
    /** Reads the row's key and value once, where that is its limit. */
    readKeysAndValues: (n) => module._limit_read(addresses[1], 2 * B * S * E, n),
    dispose() {},
  };
}
