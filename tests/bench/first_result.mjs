// How long a user waits from load() to the first result, in a process or worker that has just started; and in Node what
// the pool of threads costs when idle. A program of its own for Node, a function for a page's worker.
import { makeInputs } from "./inputs.mjs";
import { timed } from "./measure.mjs";
import { rows } from "./rows.mjs";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The tiny row; cold: this realm's first load; warm: the compiled module is there. */
export async function firstResult({ folders, simd, threads }) {
  const { load } = await import(/* @vite-ignore */ `${folders.headwise}index.js`);
  const { B, L, E, H } = rows.find(({ name }) => name === "tiny");
  const inputs = makeInputs({ B, L, S: L, E }, "core");
  const [query, key, value] = [inputs.query, inputs.key, inputs.value].map((data) => ({ data, shape: [B, L, E] }));
  const once = async () => {
    let hw;
    const ms = await timed(async () => {
      hw = await load({ threads, simd });
      hw.attention(query, key, value, { numHeads: H });
    });
    return { hw, ms };
  };
  const cold = await once();
  cold.hw.dispose();
  const warm = await once();
  return { cold: cold.ms, warm: warm.ms, hw: warm.hw };
}

/** Milliseconds of CPU time in a second of doing nothing. */
async function idleSecond() {
  const before = process.cpuUsage();
  await sleep(1000);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

async function main({ idle, ...options }) {
  const withoutPool = idle ? await idleSecond() : undefined;
  const { cold, warm, hw } = await firstResult(options);
  const result = { cold, warm };
  if (idle) {
    const mha = hw.multiHeadAttention({ embedDim: 384, numHeads: 12 });
    const x = { data: makeInputs({ B: 1, L: 128, S: 128, E: 384 }, "core").query, shape: [128, 384] };
    for (let i = 0; i < 50; ++i) mha.forward(x);
    await sleep(200); // the compiler has work left over
    Object.assign(result, { withoutPool, withPool: await idleSecond() });
  }
  hw.dispose();
  console.log(JSON.stringify(result));
}

const asProgram = globalThis.process?.argv?.[1]?.endsWith("first_result.mjs");
if (asProgram) await main(JSON.parse(process.argv[2]));
