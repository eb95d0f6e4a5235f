// Tables of our own: how cost grows with length, what heads cost, what asking for weights costs.
import { place, program } from "./contenders/core.mjs";
import { instance } from "./contenders/headwise.mjs";
import { makeInputs, normals } from "./inputs.mjs";
import { memoryEntrants } from "./limits.mjs";
import { takeTurns, timed } from "./measure.mjs";
import { rows } from "./rows.mjs";
import { ratio, summary } from "./statistics.mjs";

export { inside } from "./inside.mjs";
export { learning } from "./learning.mjs";
export { opening } from "./opening.mjs";

const ENOUGH_MS = 300;

/** Best of as many runs as fit into ENOUGH_MS, at least one. */
async function best(work) {
  let fastest = Infinity;
  for (let spent = 0; spent < ENOUGH_MS;) {
    const ms = await timed(work);
    fastest = Math.min(fastest, ms);
    spent += ms;
  }
  return fastest;
}

const fresh = async ({ folders, simd, threads }) => {
  const { load } = await import(/* @vite-ignore */ `${folders.headwise}index.js`);
  return load({ simd, threads: Math.max(...threads) });
};

/** L = 16 … maximum, 8 heads of 64. Lengths ascend: buffers are kept, so that memory is what the length needs. */
export async function growth(options, maximum = 16_384) {
  const [E, numHeads] = [512, 8];
  const core = await fresh(options);
  const withBlock = await fresh(options);
  const mha = withBlock.multiHeadAttention({ embedDim: E, numHeads });
  const found = [];
  for (let L = 16; L <= maximum; L *= 2) {
    const x = { data: normals(1, L * E), shape: [1, L, E] };
    const coreMs = await best(() => core.attention(x, x, x, { numHeads }));
    const blockMs = await best(() => mha.forward(x));
    found.push({
      L,
      coreMs,
      blockMs,
      // x is copied in once, however often it is given; beside it there is the output.
      coreBytes: core.memory().usedBytes - 4 * 2 * L * E,
      blockBytes: withBlock.memory().usedBytes - 4 * 2 * L * E - 4 * mha.parameterCount,
    });
  }
  core.dispose();
  withBlock.dispose();
  return { threads: Math.max(...options.threads), rows: found };
}

/** H = 1 … 32 at E = 512, L = 512: the same floating-point operations, but for the softmax. */
export async function heads(options) {
  const hw = await instance({ folder: options.folders.headwise, simd: options.simd, threads: options.threads[0] });
  const [E, L] = [512, 512];
  const x = { data: normals(1, L * E), shape: [1, L, E] };
  const counts = [1, 2, 4, 8, 16, 32];
  const modules = counts.map((numHeads) => hw.multiHeadAttention({ embedDim: E, numHeads }));
  const entrants = counts.flatMap((numHeads, n) => [
    { sampleMs: 1, run: () => hw.attention(x, x, x, { numHeads }) },
    { sampleMs: 1, run: () => modules[n].forward(x) },
  ]);
  const samples = await takeTurns(entrants, options.seconds);
  for (const module of modules) module.dispose();
  return {
    threads: options.threads[0],
    rows: counts.map((H, n) => ({ H, core: summary(samples[2 * n]), block: summary(samples[2 * n + 1]) })),
  };
}

/** The core of bert512 in memory, without and with the weights written, beside writing as many floats alone. */
export async function weights(options) {
  const row = rows.find(({ name }) => name === "bert512");
  const { B, L, S, E, H, D } = row;
  const module = await program(options.folders, options.simd, 1);
  const { query, key, value } = makeInputs(row, "core");
  const count = B * H * L * S;
  const addresses = place(module, [query, key, value], B * L * E + count);
  const to = addresses.at(-1) + 4 * B * L * E;
  const core = (target) => (n) => module._run_core(B, H, L, S, D, false, false, ...addresses, target, n);
  const samples = await takeTurns(
    [core(0), core(to), (n) => module._limit_write(to, count, n)].map((repeat) => ({ sampleMs: 5, repeat })),
    options.seconds,
  );
  const [without, asked, written] = samples.map(summary);
  return { without, asked, written, ratio: ratio(samples[1], samples[0]) };
}

/** GB/s of plain reads of 64 MB, by number of threads. */
export async function memorySpeed(options) {
  const entrants = await memoryEntrants(options);
  const samples = await takeTurns(entrants, 1);
  return samples.map((own, n) => ({ threads: options.threads[n], gbs: entrants[n].unit / Math.min(...own) / 1e6 }));
}
