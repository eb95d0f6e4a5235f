// What looking inside costs: GPT-2 small's shape with random parameters, 15 tokens. Heads patched in a second; the whole map of attribution
// patching beside a forward pass; and a forward pass without captures and edits beside another build's.
import { instance } from "./contenders/headwise.mjs";
import { takeTurns, timed } from "./measure.mjs";
import { ratio, summary } from "./statistics.mjs";

const gpt2 = { vocabSize: 50_257, contextLength: 64, layers: 12, embedDim: 768, numHeads: 12, feedForwardDim: 3072 };

/** By number of threads. `config` is a transformer's, `length` the number of tokens. */
export async function inside(options, { config = gpt2, length = 15 } = {}) {
  const { folders, simd, seconds } = options;
  const tokens = (seed) => Int32Array.from({ length }, (_, n) => (7919 * (n + seed)) % config.vocabSize);
  const [clean, corrupted] = [tokens(1), tokens(2)];
  const metric = { answer: 3, against: 5 };
  const rows = [];
  for (const threads of options.threads) {
    const load = (folder) => instance({ folder, simd, threads });
    const hw = await load(folders.headwise);
    const model = hw.transformer(config);
    const older = folders.before && (await load(folders.before)).transformer(config);
    const pass = (of) => ({ sampleMs: 1, run: () => of.forward(corrupted, { logits: "last" }) });
    const map = (by) => hw.attributionPatch(model, clean, corrupted, { at: "heads", by, metric });
    const entrants = [pass(model), { sampleMs: 1, run: () => map("both") }, ...(older ? [pass(older)] : [])];
    const [forward, attribution, before] = await takeTurns(entrants, 3 * seconds);
    const heads = config.layers * config.numHeads;
    const milliseconds = await timed(() => hw.patch(model, clean, corrupted, { at: "heads", by: "head", metric }));
    rows.push({
      ...{ threads, forward: summary(forward), attribution: summary(attribution) },
      ratio: ratio(attribution, forward),
      headsPerSecond: (1000 * heads) / milliseconds,
      ...(before && { before: ratio(before, forward) }),
    });
    model.dispose();
    older?.dispose();
  }
  return { heads: config.layers * config.numHeads, length, rows };
}
