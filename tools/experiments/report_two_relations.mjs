// The page's section on two relations at once. All statements about the results are computed from the data.
import { clearly, heads, list, ms, percent, percentPlusMinus, table, thousands } from "./markdown.mjs";
import { median } from "./statistics.mjs";

const middleStep = (learnt) => {
  const steps = learnt.filter((step) => step !== null);
  return steps.length === 0 ? "–" : thousands(median(steps));
};

/** Who learnt the task, and how one head and many compare. */
function outcome({ summary, longer, learntFrom, task }) {
  const [one, ...many] = summary;
  const best = [...summary].sort((a, b) => b.accuracy.mean - a.accuracy.mean)[0];
  const results = summary.map((own) => `${heads(own.heads)} ${percentPlusMinus(own.accuracy)}`);
  const sentences = [
    `After ${thousands(one.steps)} steps the answers are right for ${list(results)} of the test examples ` +
      `(mean ± standard deviation over ${one.accuracy.n} seeds; guessing: ${percent(task.chance)}).`,
  ];
  const ahead = many.filter((own) => own.accuracy.mean > one.accuracy.mean && clearly(own.accuracy, one.accuracy));
  sentences.push(
    ahead.length === 0
      ? "No number of heads is clearly better than one (two standard errors)."
      : `${list(ahead.map((own) => heads(own.heads))).replace(/^./, (first) => first.toUpperCase())} are clearly better than one (by more than two standard errors)` +
          (ahead.length < many.length
            ? `; ${list(many.filter((own) => !ahead.includes(own)).map((own) => heads(own.heads)))} are not.`
            : "."),
  );
  const equals = summary.filter((own) => own !== best && !clearly(own.accuracy, best.accuracy));
  if (best !== one)
    sentences.push(
      `${heads(best.heads).replace(/^./, (first) => first.toUpperCase())} come out best` +
        (equals.length > 0
          ? `, not clearly ahead of ${list(equals.map((own) => heads(own.heads)))}.`
          : ", clearly ahead of every other number."),
    );
  const learnt = longer.learnt.filter((step) => step !== null).length;
  const again = `Given ${thousands(longer.steps)} steps, one head comes to ${percentPlusMinus(longer.accuracy)}; ${learnt} of ${longer.learnt.length} seeds reach ${percent(learntFrom, 0)}`;
  sentences.push(
    learnt === longer.learnt.length
      ? `${again}: one head can learn the task, it takes longer.`
      : learnt > 0
        ? `${again}: one head can learn the task, but not from every start in that time.`
        : `${again}: in that time it does not learn the task.`,
  );
  return sentences.join(" ");
}

function attention({ summary }) {
  const [one] = summary;
  const best = [...summary].sort((a, b) => b.accuracy.mean - a.accuracy.mean)[0];
  return (
    `Over the test examples, the heads give ${percent(one.asked.mean, 0)} (1 head) to ${percent(best.asked.mean, 0)} (${heads(best.heads)}) of their ` +
    `attention to the two places asked for. In ${percent(best.split.mean, 0)} of the examples, ${heads(best.heads)} split the work: one looks ` +
    "most at the first place and another one most at the second."
  );
}

export function reportTwoRelations(data) {
  const { task, model, optimizer, settings, summary, longer, rates } = data;
  const row = (own) => [
    own === longer ? `${own.heads}, for longer` : own.heads,
    model.embedDim / own.heads,
    thousands(own.parameters),
    own.learningRate,
    thousands(own.steps),
    percentPlusMinus(own.accuracy),
    `${own.learnt.filter((step) => step !== null).length} of ${own.learnt.length}`,
    middleStep(own.learnt),
    ms(own.times.stepMilliseconds),
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
    ],
    [...summary, longer].map(row),
  );
  const looks = table(
    [
      "heads",
      "attention on the places asked for",
      "difference between the two",
      "examples in which heads split the work",
    ],
    summary.map((own) => [own.heads, ...["asked", "apart", "split"].map((key) => percentPlusMinus(own[key]))]),
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
pair is one token, and so is each question: ${task.length} tokens a sequence, a vocabulary of ${task.vocabSize}. The loss counts at the question alone.
Knowing one of the two values is worth no more than guessing: ${percent(task.chance)}.

**Why.** One layer of attention can find both values in one step, from the question. But a head returns one mixture of what
it attends to: one head must tell the two values apart by their weights, or by where pairs lie in its value space; two heads can
bring them back apart.

**Model and training.** One layer, E = ${model.embedDim}, feed-forward ${model.feedForwardDim} (which has to subtract), no positions (the order of the pairs
says nothing), H heads of width E / H: the same number of parameters for every H. AdamW (betas ${optimizer.betas.join(", ")}, weight decay
${optimizer.weightDecay}, clipping at ${optimizer.clipNorm}, warm-up over ${optimizer.warmupSteps} steps, then cosine decay), ${settings.batch} fresh examples a step, the same for every H of a seed. Each
H has its best of the learning rates ${list(settings.learningRates)} (by accuracy, mean over seeds). Accuracy is on ${settings.examples} test
examples; “learnt” is ${percent(data.learntFrom, 0)} from there on. ${settings.seeds.length} seeds.

${results}

![Right answers over steps of training](two-relations.svg)

${outcome(data)} (In the figure: bands are ± one standard deviation; dashed: one head for longer; dotted: guessing.)

${looks}

![What each head attends to](two-relations-heads.svg)

${attention(data)} The figure has one example, from the models of the first seed, whose right answer is ${data.maps[0].answer}; in each row are a
head's weights over the sequence.

Right answers for every learning rate, after ${thousands(summary[0].steps)} steps:

${allRates}
`;
}
