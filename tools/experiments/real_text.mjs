// One head against many on real text: causal models of characters, as many parameters and the same stretches of the book
// for every head count.
import { characters, evenBatches, stretches } from "../../web/src/learning/characters.mjs";
import { randomNumbers } from "../../web/src/learning/random.mjs";
import { mobyDick } from "./moby_dick.mjs";
import { spread } from "./statistics.mjs";
import { evaluateAll, stepTimes, train } from "./train.mjs";

/** An endless sequence of training examples: passages with random starts, the same for every head count. */
export function randomStretches(text, { seed, batch, length }) {
  const below = randomNumbers(2000 + seed);
  return () => {
    const starts = Array.from({ length: batch }, () => below(text.length - length));
    return stretches(text, starts, length);
  };
}

export const textModel = ({ model }, vocabulary, numHeads, seed) => ({
  ...{ vocabSize: characters(vocabulary).size, ...model, numHeads, seed },
});

export const schedule = (optimizer, steps) => ({
  ...{ ...optimizer, warmupSteps: Math.round(steps / 20), totalSteps: steps },
});

function run(hw, book, settings, { heads, learningRate, seed }) {
  const config = textModel(settings, book.vocabulary, heads, seed);
  const model = hw.transformer(config);
  const optimizer = hw.adamW(schedule({ ...settings.optimizer, lr: learningRate }, settings.steps));
  const { batch, steps, every } = settings;
  const length = config.contextLength;
  const validation = evenBatches(book.validation, settings.validation);
  try {
    const curve = train({
      ...{ model, optimizer, steps, every },
      batchAt: randomStretches(book.train, { seed, batch, length }),
      evaluate: (trained) => ({ loss: evaluateAll(trained, validation).loss }),
    });
    const { loss, accuracy } = evaluateAll(model, evenBatches(book.validation, settings.finalValidation));
    const withTokens = curve.map((point) => ({ tokens: point.step * batch * length, ...point }));
    const record = { heads, learningRate, seed, parameters: model.parameterCount };
    return { record: { ...record, loss, accuracy, curve: withTokens }, file: model.save() };
  } finally {
    optimizer.dispose();
    model.dispose();
  }
}

/** What a step of training takes with each number of heads. */
function times(hw, book, settings) {
  const { headCounts, batch, steps, timingRounds } = settings;
  const made = headCounts.map((heads) => ({
    model: hw.transformer(textModel(settings, book.vocabulary, heads, 0)),
    optimizer: hw.adamW(schedule({ ...settings.optimizer, lr: 0.001 }, steps)),
  }));
  const length = settings.model.contextLength;
  return stepTimes(made, randomStretches(book.train, { seed: 0, batch, length })(), timingRounds);
}

/** The text that the best model writes after the beginning of a sentence, and the loss with its numbers in 16 bits. */
function look(hw, book, settings, file) {
  const half = hw.loadTransformer(file);
  try {
    const { encode, decode } = characters(book.vocabulary);
    const prompt = "The whale ";
    const options = { maxTokens: 300, temperature: 0.7, seed: 1 };
    const sample = prompt + decode(half.generate(encode(prompt), options));
    const { loss } = evaluateAll(half, evenBatches(book.validation, settings.finalValidation));
    return { bytes: file.length, loss, prompt, temperature: options.temperature, sample };
  } finally {
    half.dispose();
  }
}

/**
 * @param context.hw, context.settings, context.tell(done, total, sentence), context.saveModel(name, bytes),
 * context.saveBest(bytes, description, validationText): the model that the page shows
 */
export async function textExperiment({ hw, settings, tell, saveModel, halve, saveBest }) {
  const book = mobyDick();
  const { headCounts, seeds, learningRates, batch, steps } = settings;
  const [firstSeed, ...otherSeeds] = seeds;
  const total = headCounts.length * (learningRates.length + otherSeeds.length);
  const trained = [];
  const one = (options) => {
    const result = run(hw, book, settings, options);
    trained.push(result);
    const { heads, learningRate, seed } = options;
    const { loss } = result.record;
    const what = `${heads} head(s), learning rate ${learningRate}, seed ${seed}: validation loss ${loss.toFixed(4)}`;
    tell(trained.length, total, what);
  };
  for (const learningRate of learningRates)
    for (const heads of headCounts) one({ heads, learningRate, seed: firstSeed });
  const rates = trained.map(({ record: { heads, learningRate, loss } }) => ({ heads, learningRate, loss }));
  const byLoss = (a, b) => a.loss - b.loss;
  const best = (heads) => rates.filter((rate) => rate.heads === heads).sort(byLoss)[0].learningRate;
  for (const seed of otherSeeds) for (const heads of headCounts) one({ heads, learningRate: best(heads), seed });

  const chosen = trained.filter(({ record }) => record.learningRate === best(record.heads));
  for (const { record, file } of chosen) await saveModel(`text-${record.heads}-${record.seed}`, file);
  const runs = trained.map(({ record }) => record);
  const { length } = settings.validation;
  const shown = [...chosen].sort((a, b) => byLoss(a.record, b.record))[0];
  const halved = halve(shown.file, book.vocabulary);
  const found = look(hw, book, settings, halved);
  await saveBest(halved, book.validationText);
  return {
    data: { vocabulary: book.vocabulary, train: book.train.length, validation: book.validation.length },
    settings,
    tokens: steps * batch * settings.model.contextLength,
    times: { steps: times(hw, book, settings) },
    validated: { every: settings.validation.count * length, final: settings.finalValidation.count * length },
    summary: headCounts.map((heads) => {
      const own = chosen.map(({ record }) => record).filter((record) => record.heads === heads);
      return {
        ...{ heads, learningRate: best(heads), parameters: own[0].parameters },
        loss: spread(own.map(({ loss }) => loss)),
        accuracy: spread(own.map(({ accuracy }) => accuracy)),
      };
    }),
    rates,
    best: { heads: shown.record.heads, seed: shown.record.seed, ...found },
    runs,
  };
}
