// One head against many on two relations at once (the task: web/src/learning/two_relations.mjs): every head count with
// every learning rate and seed; then what the heads attend to; then one head with a longer run.
import { harder, letterTest, meanFollows, without } from "../../web/src/learning/letters.mjs";
import { randomNumbers } from "../../web/src/learning/random.mjs";
import { twoRelations, twoRelationsModel, twoRelationsTraining } from "../../web/src/learning/two_relations.mjs";
import { groups, mean, spread } from "./statistics.mjs";
import { stepTimes, train } from "./train.mjs";

const LEARNT = 0.95; // accuracy from which the task counts as learnt

/** Trains one model. @returns its record and the model as a file */
function run(hw, task, settings, { heads, learningRate, seed, steps }) {
  const model = hw.transformer(twoRelationsModel(task, { numHeads: heads, seed }));
  const optimizer = hw.adamW(twoRelationsTraining.optimizer(learningRate, steps));
  const below = randomNumbers(1000 + seed); // the same examples for every head count and learning rate
  const test = task.testBatch(settings.examples);
  try {
    const curve = train({
      ...{ model, optimizer, steps, every: settings.every },
      batchAt: () => task.batch(below, settings.batch),
      evaluate(trained) {
        const { loss, accuracy } = trained.evaluate(test.tokens, test.targets);
        return { loss, accuracy };
      },
    });
    const { loss, accuracy } = curve.at(-1);
    const record = { heads, learningRate, seed, steps, parameters: model.parameterCount, loss, accuracy };
    const letters = letterTest(task, settings.letterSets);
    return {
      record: { ...record, ...looks(model, task, test), letters: lost(model, letters), curve },
      file: model.save(),
    };
  } finally {
    optimizer.dispose();
    model.dispose();
  }
}

/** The attention weights of the question, [B][H][L]. */
function questionWeights(model, { tokens }) {
  const { weights } = model.forward(tokens, { capture: { weights: "probabilities" } }).layers[0];
  const [batch, heads, length, keys] = weights.shape;
  const row = (b, h) => {
    const start = ((b * heads + h) * length + length - 1) * keys;
    return [...weights.data.subarray(start, start + keys)];
  };
  return Array.from({ length: batch }, (_, b) => Array.from({ length: heads }, (_unused, h) => row(b, h)));
}

/**
 * What the heads attend to, over the test examples. `asked`: the attention of a head to the two positions in question, mean over
 * heads. `apart`: the difference between the two; 1 means that each head attends to only one. `split`: the share of examples in which
 * one head attends most to the first position and another one to the second.
 */
function looks(model, task, test) {
  const [count, length] = test.tokens.shape;
  const [asked, apart, split] = [[], [], []];
  questionWeights(model, test).forEach((heads, b) => {
    const [first, second] = task.places(test.tokens.data.subarray(b * length, (b + 1) * length));
    for (const row of heads) {
      asked.push(row[first] + row[second]);
      apart.push(Math.abs(row[first] - row[second]));
    }
    const most = heads.map((row) => row.indexOf(Math.max(...row)));
    split.push(most.includes(first) && most.includes(second) ? 1 : 0);
  });
  return { examples: count, asked: mean(asked), apart: mean(apart), split: mean(split) };
}

/**
 * How far the answers follow each letter, with all heads and with one switched off. `more`, `less`: of the letter that suffers
 * more, and of the other, mean over heads and questions.
 */
function lost(model, { tokens, follows }) {
  const run = (edits) => follows(model.forward(tokens, { logits: "last", edits }).logits);
  const off = Array.from({ length: model.config.numHeads }, (_, head) => run(without(head)));
  return { all: meanFollows(run([])), off: off.map(meanFollows), ...harder(off) };
}

/** One test example in words, and every head's weights on it. */
function exampleMap(hw, task, { record, file }) {
  const example = task.testBatch(1);
  const model = hw.loadTransformer(file);
  try {
    const [heads] = questionWeights(model, example);
    const tokens = [...example.tokens.data].map(task.describe);
    const { answer } = task.describe(example.targets.data.at(-1));
    return { heads: record.heads, seed: record.seed, accuracy: record.accuracy, tokens, answer, weights: heads };
  } finally {
    model.dispose();
  }
}

/** What a step of training takes with each number of heads. */
function times(hw, task, { headCounts, batch, steps, timingRounds }) {
  const below = randomNumbers(3000);
  const made = headCounts.map((numHeads) => ({
    model: hw.transformer(twoRelationsModel(task, { numHeads })),
    optimizer: hw.adamW(twoRelationsTraining.optimizer(0.001, steps)),
  }));
  return stepTimes(made, task.batch(below, batch), timingRounds);
}

/** The best learning rate of a head count: by mean accuracy over seeds, then by mean loss. */
function bestRate(runs) {
  const rates = [...groups(runs, ({ learningRate }) => learningRate)].map(([rate, own]) => ({
    rate,
    accuracy: mean(own.map(({ accuracy }) => accuracy)),
    loss: mean(own.map(({ loss }) => loss)),
  }));
  return rates.sort((a, b) => b.accuracy - a.accuracy || a.loss - b.loss)[0].rate;
}

/** The step from which on the accuracy stays at LEARNT or above, or null. */
function learntAt({ curve }) {
  const last = curve.findLastIndex(({ accuracy }) => accuracy < LEARNT);
  return curve[last + 1]?.step ?? null;
}

function summarize(heads, runs) {
  const over = (key) => spread(runs.map((one) => one[key]));
  const learnt = runs.map(learntAt);
  return {
    ...{ heads, learningRate: runs[0].learningRate, steps: runs[0].steps, parameters: runs[0].parameters },
    ...{ accuracy: over("accuracy"), loss: over("loss"), learnt },
    ...{ asked: over("asked"), apart: over("apart"), split: over("split") },
    letters: Object.fromEntries(["more", "less"].map((key) => [key, spread(runs.map(({ letters }) => letters[key]))])),
  };
}

/**
 * @param context.hw, context.settings, context.tell(done, total, sentence), context.saveModel(name, bytes)
 */
export async function twoRelationsExperiment({ hw, settings, tell, saveModel }) {
  const task = twoRelations();
  const { headCounts, seeds, learningRates, steps, longer } = settings;
  const total = seeds.length * (headCounts.length * learningRates.length + 1);
  const trained = [];
  const longRuns = [];
  const one = (options, list) => {
    const result = run(hw, task, settings, options);
    list.push(result);
    const { accuracy } = result.record;
    const { heads, learningRate, seed } = options;
    const what = `${heads} head(s), learning rate ${learningRate}, seed ${seed}, ${options.steps} steps`;
    tell(trained.length + longRuns.length, total, `${what}: ${(100 * accuracy).toFixed(1)} % right`);
  };
  for (const seed of seeds)
    for (const learningRate of learningRates)
      for (const heads of headCounts) one({ heads, learningRate, seed, steps }, trained);

  const records = trained.map(({ record }) => record);
  const best = new Map(headCounts.map((heads) => [heads, bestRate(records.filter((own) => own.heads === heads))]));
  const chosen = trained.filter(({ record }) => record.learningRate === best.get(record.heads));
  const fewest = headCounts[0];
  for (const seed of seeds)
    one({ heads: fewest, learningRate: best.get(fewest), seed, steps: longer * steps }, longRuns);
  for (const { record, file } of chosen) await saveModel(`two-relations-${record.heads}-${record.seed}`, file);

  const of = (heads) => chosen.filter(({ record }) => record.heads === heads).map(({ record }) => record);
  const rates = headCounts.flatMap((heads) =>
    learningRates.map((learningRate) => {
      const own = records.filter((record) => record.heads === heads && record.learningRate === learningRate);
      return { heads, learningRate, accuracy: spread(own.map(({ accuracy }) => accuracy)) };
    }),
  );
  const long = longRuns.map(({ record }) => record);
  const { keys, values, length, vocabSize, chance, cases, heldOut } = task;
  return {
    task: { keys, values, length, vocabSize, chance, cases, heldOut },
    model: twoRelationsModel(task, { numHeads: 1 }),
    optimizer: twoRelationsTraining.optimizer(best.get(fewest), steps),
    ...{ settings, learntFrom: LEARNT },
    summary: headCounts.map((heads) => summarize(heads, of(heads))),
    longer: summarize(fewest, long),
    times: { steps: times(hw, task, settings) },
    rates,
    maps: headCounts.map((heads) =>
      exampleMap(
        hw,
        task,
        chosen.find(({ record }) => record.heads === heads),
      ),
    ),
    runs: [...records, ...long],
  };
}
