// The core alone, on data that lies in WebAssembly memory: the bench's own binary. It also measures the limits.
import { jspi } from "wasm-feature-detect";

import { headsFirst } from "../inputs.mjs";
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
    const tileRows = simd === "relaxed" && (await jspi()) ? 6 : 4; // as bindings/src/runtime/choose.ts has it
    if (module._start(threads, tileRows) !== 0) throw new Error("could not start the threads");
    loaded.set(key, module);
  }
  return loaded.get(key);
}

/**
 * Copies arrays into the program's memory, with room for a result behind, which is written too: pages that nobody has written are one
 * page of zeros in the processor's cache, and reading them says nothing about memory. @returns addresses, the result's last
 */
export function place(module, arrays, resultLength) {
  let at = module._room(arrays.reduce((sum, { length }) => sum + length, resultLength));
  if (at === 0) throw new Error("out of memory");
  const heap = new Float32Array(module.wasmMemory.buffer);
  const addresses = arrays.map((array) => {
    heap.set(array, at / 4);
    at += 4 * array.length;
    return at - 4 * array.length;
  });
  heap.fill(0, at / 4, at / 4 + resultLength);
  return [...addresses, at];
}

function checkStatus(status) {
  if (status !== 0) throw new Error(`status ${status}`);
}

export async function prepare(row, kind, inputs, { threads, simd, folders }) {
  const module = await program(folders, simd, threads);
  const { B, L, S, E, H, D, causal } = row;
  const past = kind === "block" ? S - L : 0;
  const bytes = readBytes(row, kind) ?? 0;
  let call, from, output;
  if (kind === "core") {
    const cached = bytes > 0;
    const keysAndValues = [inputs.key, inputs.value].map((array) => (cached ? headsFirst(array, row) : array));
    const addresses = place(module, [inputs.query, ...keysAndValues], B * L * E);
    [from, output] = [addresses[1], addresses[3]];
    call = (n) => module._run_core(B, H, L, S, D, causal, cached, ...addresses, 0, n);
  } else {
    checkStatus(module._make_block(E, H, past > 0 ? S : 0));
    for (const [n, { weight, bias }] of [inputs.q, inputs.k, inputs.v, inputs.out].entries()) {
      module._set_projection(n, ...place(module, [weight, bias], 0).slice(0, 2));
    }
    [from, output] = place(module, [inputs.tokens], Math.max(B * S * E, bytes / 4));
    if (past > 0) checkStatus(module._run_block(B, past, 0, causal, from, output, 1)); // fills the cache
    call = (n) => module._run_block(B, L, past, causal, from + 4 * past * E, output, n);
  }
  const repeat = (n) => checkStatus(call(n));
  return {
    repeat,
    run() {
      repeat(1);
      return new Float32Array(module.wasmMemory.buffer).slice(output / 4, output / 4 + B * L * E);
    },
    /** Reads as much as the row has to, where that is its limit; of the core it is K and V themselves. */
    read: (n) => module._limit_read(from, bytes / 4, n),
    dispose() {},
  };
}
