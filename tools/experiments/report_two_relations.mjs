// The page's section on two relations at once. All statements about the results are computed from the data.
import { permutationTest } from "./compare.mjs";
import {
  besideFirst,
  heads,
  list,
  ms,
  percent,
  percentPlusMinus,
  probability,
  sentence,
  table,
  thousands,
} from "./markdown.mjs";
import { chosenRuns, median } from "./statistics.mjs";

/** From this p on a difference is not called one. */
const SURE = 0.05;

const middleStep = (learnt) => {
  const steps = learnt.filter((step) => step !== null);
  return steps.length === 0 ? "–" : thousands(median(steps));
};
const learntBy = ({ learnt }) => `${learnt.filter((step) => step !== null).length} of ${learnt.length}`;
const points = (share) => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(1)} points`;

/** Who learnt the task, and how one head and many compare. */
function outcome(data) {
  const { summary, longer, learntFrom, task } = data;
  const [one, ...many] = summary;
  const runs = chosenRuns(data);
  const accuracies = (count) => runs.filter((run) => run.heads === count).map(({ accuracy }) => accuracy);
  const test = (a, b) => permutationTest(accuracies(a.heads), accuracies(b.heads));
  const results = summary.map((own) => `${heads(own.heads)} ${percentPlusMinus(own.accuracy)}`);
  const differences = many.map(
    (own) => `${heads(own.heads)} ${points(own.accuracy.mean - one.accuracy.mean)} (${probability(test(own, one).p)})`,
  );
  const most = Math.max(...summary.map(({ accuracy }) => accuracy.mean));
  const best = summary.filter((own) => percent(own.accuracy.mean) === percent(most));
  const others = summary.filter((own) => !best.includes(own) && test(own, best[0]).p > SURE);
  const sooner = many.some((own) => test(own, one).p <= SURE && own.accuracy.mean > one.accuracy.mean);
  const can = longer.accuracy.mean >= learntFrom;
  return [
    `After ${thousands(one.steps)} steps the answers are right for ${list(results)} of the held-out examples ` +
      `(mean ± standard deviation over ${one.accuracy.n} seeds; guessing: ${percent(task.chance)}).`,
    `Beside one head: ${list(differences)}; exact permutation tests of the means, not adjusted for ${many.length} comparisons, ` +
      `where so few seeds can give no p below ${Number(test(many[0], one).least.toPrecision(2))}.`,
    `${sentence(list(best.map((own) => heads(own.heads))))} come${best.length > 1 || best[0].heads > 1 ? "" : "s"} out best` +
      (others.length > 0 ? `, not told apart from ${list(others.map((own) => heads(own.heads)))}.` : "."),
    `Given ${thousands(longer.steps)} steps, one head comes to ${percentPlusMinus(longer.accuracy)}; ${learntBy(longer)} seeds reach ${percent(learntFrom, 0)}` +
      (can && sooner ? ": more heads learn this task sooner, but one head can learn it, too." : "."),
  ].join(" ");
}

function attention({ summary, maps, chanceSplit }) {
  const many = summary.filter((own) => own.heads > 1);
  const excess = many.map((own) => `${heads(own.heads)} ${points(own.split.mean - chanceSplit(own.heads))}`);
  const letters = many.map(
    (own) => `${heads(own.heads)} ${percent(own.letters.more.mean, 0)} and ${percent(own.letters.less.mean, 0)}`,
  );
  const gap = Math.max(...many.map((own) => own.letters.less.mean - own.letters.more.mean));
  const models = maps.map((map) => `${heads(map.heads)} ${percent(map.accuracy)}`);
  return `“Different heads”: the share of examples in which one head looks most at the first place and another one most at the second. Coin flips
give ${list(many.map((own) => `${percent(chanceSplit(own.heads))} with ${own.heads} heads`))}, so that what is left for the heads is ${list(excess)}.

The causal test: one of the two values grows by one, and the answer must go along. With one head switched off, answers still follow the
place that suffers more, and the other one: ${list(letters)} (means over heads, questions and seeds). ${
    gap < 0.5
      ? "Were a head one place's alone, the other place would stay, as far as the feed-forward layer can do without the head: both suffer without any of the heads, whatever it looks at."
      : "Each head is one place's."
  } (The lower of two shares is lower by noise as well.)

The figure has one example and the models of one seed, ${maps[0].seed} (right answers: ${list(models)}); its right answer is ${maps[0].answer}. In each row
are a head's weights over the sequence.`;
}

/** One head looks at the first place and another one at the second, if each of them flips a coin. */
const chanceSplit = (count) => 1 - 2 * 0.5 ** count;

export function reportTwoRelations(data) {
  const { task, model, optimizer, settings, summary, longer, rates, times } = data;
  const step = (own) => times.steps[settings.headCounts.indexOf(own.heads)];
  const row = (own) => [
    own === longer ? `${own.heads}, for longer` : own.heads,
    model.embedDim / own.heads,
    thousands(own.parameters),
    own.learningRate,
    thousands(own.steps),
    percentPlusMinus(own.accuracy),
    learntBy(own),
    middleStep(own.learnt),
    ms(step(own).stepMilliseconds),
    besideFirst(step(own)),
  ];
  const results = table(
    [
      "heads",
      "width of a head",
      "parameters",
      "learning rate",
      "steps",
      "right answers",
      "learnt by",
      "at step",
      "ms a step",
      "beside one head",
    ],
    [...summary, longer].map(row),
  );
  const looks = table(
    [
      "heads",
      "attention on the places asked for",
      "difference between the two",
      "different heads",
      "by coin flips",
      "one head off: the place that suffers more",
      "the other one",
    ],
    summary.map((own) => [
      own.heads,
      ...["asked", "apart", "split"].map((key) => percentPlusMinus(own[key])),
      own.heads > 1 ? percent(chanceSplit(own.heads)) : "–",
      ...["more", "less"].map((key) => percentPlusMinus(own.letters[key])),
    ]),
  );
  const allRates = table(
    ["heads", ...settings.learningRates],
    summary.map((own) => [
      own.heads,
      ...rates.filter((rate) => rate.heads === own.heads).map((rate) => percentPlusMinus(rate.accuracy)),
    ]),
  );
  return `## Two relations at once

**Task.** There are ${task.keys} keys and ${task.values} values. A sequence is ${task.keys} pairs (key, value), each key once, in random order, each
value drawn evenly; then a question of two different keys, (a, b)?. The answer is (value of a − value of b) mod ${task.values}. Each
pair is one token, and so is each question: ${task.length} tokens a sequence, a vocabulary of ${task.vocabSize} (${task.keys * task.values} pairs, ${task.keys * (task.keys - 1)} questions, ${task.values} answers). The loss
counts at the question alone. Knowing one of the two values is worth no more than guessing: ${percent(task.chance)}.

**Why.** One layer of attention can find both values in one step, from the question. But a head returns one mixture of what
it attends to: one head must tell the two values apart by their weights, or by where pairs lie in its value space; two heads can
bring them back apart.

**Model and training.** One layer, E = ${model.embedDim}, feed-forward ${model.feedForwardDim} (which has to subtract), no positions (the order of the pairs
says nothing), H heads of width E / H: the same number of parameters for every H. AdamW (betas ${optimizer.betas.join(", ")}, weight decay
${optimizer.weightDecay}, clipping at ${optimizer.clipNorm}, warm-up over ${optimizer.warmupSteps} steps, then cosine decay), ${settings.batch} fresh examples a step, the same for every H of a seed. Each
H has its best of the learning rates ${list(settings.learningRates)}, by mean accuracy over seeds on the same examples that the table is about, which flatters every H.
${task.heldOut} of the ${thousands(task.cases)} sets of values and questions are held out: training never shows them, in any order, and accuracy is on ${settings.examples === task.heldOut ? "them alone" : `${settings.examples} of them`}. “Learnt” is ${percent(data.learntFrom, 0)}
from there on. ${settings.seeds.length} seeds. Steps are timed afterwards: every H has one in turn, ${settings.timingRounds} rounds; the shortest, and the quartiles of the ratio to one head's.

${results}

![Right answers over steps of training](two-relations.svg)

${outcome(data)} (In the figure: bands are ± one standard deviation; dashed: one head for longer; dotted: guessing.)

${looks}

![What each head attends to](two-relations-heads.svg)

${attention({ ...data, chanceSplit })}

Right answers for every learning rate, after ${thousands(summary[0].steps)} steps:

${allRates}
`;
}
