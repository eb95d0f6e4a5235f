// What the machine can do at most, measured between the rows' own rounds by the bench's binary.
import { place, program } from "./contenders/core.mjs";
import { readBytes } from "./rows.mjs";

const SAMPLE_MS = 5;
const READ_FLOATS = 16 << 20; // 64 MB: past most caches
const BATCH = 10_000; // passes of a loop in one "run"

/** Entrants for takeTurns; `unit` is what one run does, in flops. The first for a number of threads bounds the kernels. */
export async function limitEntrants({ folders, simd, threads: counts }) {
  const entrants = [];
  for (const threads of counts) {
    const module = await program(folders, simd, threads);
    const unit = BATCH * module._limit_flops();
    const add = (limit, call) => {
      const name = `${limit}, ${threads} thread${threads > 1 ? "s" : ""}`;
      entrants.push({ name, limit, threads, unit, sampleMs: SAMPLE_MS, repeat: (n) => call(n * BATCH) });
    };
    if (simd === "relaxed") add("fused multiply-add", module._limit_fma);
    add("mul + add", module._limit_multiply_add);
  }
  return entrants;
}

/** A plain read of what a row has to read, where that is what bounds it; `unit` in bytes. */
export function readEntrants(row, kind, entrants) {
  const unit = readBytes(row, kind);
  if (unit === undefined) return [];
  return entrants
    .filter(({ record }) => record.name === "core")
    .map(({ record: { threads }, read }) => {
      const what = kind === "core" ? "K and V" : "K, V and weights";
      const name = `read of ${row.name}'s ${what}, ${threads} thread${threads > 1 ? "s" : ""}`;
      return { name, limit: "read", threads, unit, sampleMs: SAMPLE_MS, repeat: read };
    });
}

/** Entrants that read an array too large for most caches. */
export async function memoryEntrants({ folders, simd, threads: counts }) {
  const programs = await Promise.all(counts.map((threads) => program(folders, simd, threads)));
  return programs.map((module) => {
    const [from] = place(module, [], READ_FLOATS);
    return { unit: 4 * READ_FLOATS, sampleMs: SAMPLE_MS, repeat: (n) => module._limit_read(from, READ_FLOATS, n) };
  });
}
