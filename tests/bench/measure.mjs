// How anything is timed here: first its result is checked, then it warms up, then all take turns round by round, so that
// whatever else the machine does meets all alike.

const TOLERANCE = 1e-3; // of the reference's largest value: peers differ in the order of their sums
const SLOW_MS = 2000; // a run: timed once, and marked
const TOO_SLOW_TO_REPEAT_MS = 6000;
const WARM_UP_MS = 200; // V8 compiles a function well after three to five calls, in the background
const WARM_UP_RUNS = 5;
const FRESH_MS = 20; // shorter runs are preceded by an untimed one, which wakes threads and fills caches
const MIN_ROUNDS = 3;

export async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function repeat(entrant, n) {
  if (entrant.repeat !== undefined) return entrant.repeat(n);
  for (let i = 0; i < n; ++i) await entrant.run();
}

/** Brings an entrant to full speed and finds how often it must run for a sample that the clock can tell. */
async function warmUp(entrant) {
  let spent = 0;
  let fastest = Infinity;
  for (let runs = 0, n = 1; spent < WARM_UP_MS || runs < WARM_UP_RUNS; runs += n) {
    const ms = await timed(() => repeat(entrant, n));
    spent += ms;
    fastest = Math.min(fastest, ms / n);
    if (spent > 5 * WARM_UP_MS) break;
    if (ms < 1) n *= 2;
  }
  entrant.runMs = fastest;
  entrant.repeats = Math.max(1, Math.ceil(entrant.sampleMs / Math.max(fastest, 1e-4)));
}

/**
 * Whether an entrant may take part: runs it once and compares. @returns its record so far, with `status`
 * @param check the error of a result, relative
 */
export async function admit(entrant, check, tolerance = TOLERANCE) {
  try {
    let result;
    await entrant.ready?.();
    let ms = await timed(async () => (result = await entrant.run()));
    const error = check(result);
    if (!(error <= tolerance)) return { status: "wrong", error };
    if (ms > SLOW_MS && ms < TOO_SLOW_TO_REPEAT_MS) ms = await timed(() => entrant.run()); // it may have been compiling
    return ms > SLOW_MS ? { status: "slow", error, samples: [ms] } : { status: "ok", error, samples: [] };
  } catch (failure) {
    return { status: "failed", message: String(failure?.message ?? failure).split("\n")[0] };
  }
}

/**
 * Times entrants { run() or repeat(n), sampleMs, ready() } in turns until the time is up. Those that would use most of it up leave
 * after a few rounds, so that the others get theirs. `ready`, if there, is called before each sample and is not timed.
 * @returns {Promise<number[][]>} milliseconds of one run, by entrant and round
 */
export async function takeTurns(entrants, seconds) {
  for (const entrant of entrants) await warmUp(entrant);
  const share = (1000 * seconds) / entrants.length / MIN_ROUNDS;
  const samples = entrants.map(() => []);
  const end = performance.now() + 1000 * seconds;
  const stays = ({ runMs }, round) => round < MIN_ROUNDS || (runMs < share && performance.now() < end);
  for (let round = 0; entrants.some((entrant) => stays(entrant, round)); ++round) {
    for (let turn = 0; turn < entrants.length; ++turn) {
      const n = (round + turn) % entrants.length;
      const entrant = entrants[n];
      if (!stays(entrant, round)) continue;
      if (entrant.runMs < FRESH_MS) await repeat(entrant, 1);
      await entrant.ready?.();
      samples[n].push((await timed(() => repeat(entrant, entrant.repeats))) / entrant.repeats);
    }
  }
  return samples;
}
