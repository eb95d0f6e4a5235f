// What learning costs: a block's step beside its forward pass, and the training of a small transformer beside jax-js.
import { chosen } from "./contenders/index.mjs";
import * as jax from "./contenders/jax.mjs";
import { prepareTraining } from "./contenders/jax_transformer.mjs";
import { instance } from "./contenders/headwise.mjs";
import { normals } from "./inputs.mjs";
import { takeTurns } from "./measure.mjs";
import { ratio, summary } from "./statistics.mjs";

const TOLERANCE = 1e-3; // of the loss, between us and jax-js, over the first steps
const COMPARED_STEPS = 3;

const sizes = {
  block: { B: 8, L: 128, E: 768, H: 12 },
  model: { vocabSize: 96, contextLength: 128, layers: 4, embedDim: 256, numHeads: 8, feedForwardDim: 1024 },
  batch: 8,
};
const lr = 1e-3;

const own = ({ folders, simd }, threads) => instance({ folder: folders.headwise, simd, threads });

/** A block of 768 with 12 heads on 8 × 128 tokens: forward alone; forward, backward and AdamW's update. */
async function blockEntrants(options, { B, L, E, H }, threads) {
  const hw = await own(options, threads);
  const mha = hw.multiHeadAttention({ embedDim: E, numHeads: H });
  const optimizer = hw.adamW({ lr: 1e-5 });
  const x = { data: normals(1, B * L * E), shape: [B, L, E] };
  const gradient = { data: normals(2, B * L * E), shape: [B, L, E] };
  const step = () => {
    mha.forward(x, { train: true });
    mha.zeroGradients();
    mha.backward(gradient);
    optimizer.step([mha]);
  };
  const dispose = () => (mha.dispose(), optimizer.dispose());
  return {
    entrants: [
      { sampleMs: 1, run: () => mha.forward(x) },
      { sampleMs: 1, run: step },
    ],
    dispose,
  };
}

/** Trains on text of a few letters: each token's successor is a function of it. */
function makeText({ model, batch }) {
  const tokens = Int32Array.from(normals(3, batch * model.contextLength), (value) => {
    return Math.min(model.vocabSize - 1, Math.floor(Math.abs(value) * 24));
  });
  return { tokens, targets: tokens.map((token) => (7 * token + 3) % model.vocabSize) };
}

async function modelEntrant(options, { model, batch }, threads, { tokens, targets }) {
  const hw = await own(options, threads);
  const transformer = hw.transformer(model);
  const optimizer = hw.adamW({ lr });
  const shape = [batch, model.contextLength];
  const parameters = transformer.parameters();
  return {
    sampleMs: 1,
    parameters,
    run: () => transformer.trainStep({ data: tokens, shape }, { data: targets, shape }, optimizer),
    dispose: () => (transformer.dispose(), optimizer.dispose()),
  };
}

function jaxEntrant({ model, batch }, parameters, text) {
  const { layers, numHeads, vocabSize, contextLength: length } = model;
  return prepareTraining({ parameters, layers, numHeads, lr, ...text, batch, length, vocabSize });
}

const losses = async (entrant) => {
  const found = [];
  for (let n = 0; n < COMPARED_STEPS; ++n) found.push(await entrant.run());
  return found;
};

async function measureBlock(options, block) {
  const found = [];
  for (const threads of options.threads) {
    const { entrants, dispose } = await blockEntrants(options, block, threads);
    const [forward, step] = await takeTurns(entrants, options.seconds);
    dispose();
    found.push({ threads, forward: summary(forward), step: summary(step), ratio: ratio(step, forward) });
  }
  return found;
}

async function measureModel(options, of) {
  const text = makeText(of);
  const ours = await Promise.all(options.threads.map((threads) => modelEntrant(options, of, threads, text)));
  const first = await losses(ours[0]);
  const records = options.threads.map((threads) => ({ name: "headwise", threads }));
  const entrants = [...ours];
  if (chosen(options).includes(jax)) {
    const record = { name: jax.name, threads: jax.threadCounts[0] };
    records.push(record);
    try {
      const peer = { sampleMs: 1, ...(await jaxEntrant(of, ours[0].parameters, text)) };
      const theirs = await losses(peer);
      record.error = Math.max(...theirs.map((loss, n) => Math.abs(loss - first[n]) / first[n]));
      if (!(record.error <= TOLERANCE)) throw new Error(`other losses: ${theirs} instead of ${first}`);
      entrants.push(peer);
    } catch (failure) {
      record.message = String(failure?.message ?? failure).split("\n")[0];
    }
  }
  const samples = await takeTurns(entrants, 2 * options.seconds);
  const tokens = of.batch * of.model.contextLength;
  for (const [n, own] of samples.entries()) {
    Object.assign(records[n], summary(own), { tokensPerSecond: (1000 * tokens) / Math.min(...own) });
    if (n >= ours.length) records[n].ratios = samples.slice(0, ours.length).map((mine) => ratio(own, mine));
  }
  for (const entrant of entrants) entrant.dispose();
  return records;
}

export async function learning(options, of = sizes) {
  return {
    block: { ...of.block, rows: await measureBlock(options, of.block) },
    model: { ...of.model, batch: of.batch, rows: await measureModel(options, of) },
  };
}
