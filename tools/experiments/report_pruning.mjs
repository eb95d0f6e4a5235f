// The page's section on pruning. All statements about the results are computed from the data.
import { list, ms, percent, table, thousands } from "./markdown.mjs";
import { byMethod, ranking } from "./pruned.mjs";
import { mean, median } from "./statistics.mjs";

const kinds = {
  text: {
    title: "Models of text",
    limit: (share) => `≤ ${percent(share, 0)} more loss`,
    change: (value) => `${value >= 0 ? "+" : "−"}${Math.abs(100 * value).toFixed(1)} %`,
    unit: "loss added",
  },
  "two-relations": {
    title: "Models of two relations",
    limit: (share) => `≤ ${(100 * share).toFixed(0)} point of accuracy lost`,
    change: (value) => `${value > 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)} points`,
    unit: "accuracy",
  },
};

const rangeOf = (found, heads) => {
  if (found === undefined) return "–";
  const { median: middle, least, most } = found;
  const range = least === most ? "" : ` (${least}–${most})`;
  return `${percent(middle / heads, 0)}: ${middle}${range}`;
};

const steps = (stride) => (stride === 1 ? "one by one" : `in steps of ${stride}`);

/** The mean points nearest to a quarter, a half and three quarters of the heads. */
function quarters(points) {
  const near = (share) =>
    points.reduce((a, b) => (Math.abs(b.fraction - share) < Math.abs(a.fraction - share) ? b : a));
  return [...new Set([0.25, 0.5, 0.75].map(near))];
}

/** Names have commas. */
const quoted = (method) => `“${method}”`;

/** Methods that share the largest median: ties are not one method's. */
function most(methods, key) {
  const known = methods.filter((own) => own[key]);
  const largest = Math.max(...known.map((own) => own[key].median));
  const first = known.filter((own) => own[key].median === largest).map(({ method }) => quoted(method));
  return { largest, by: first.length === methods.length ? "every order" : list(first) };
}

function outcome(name, methods, heads, found) {
  const { limit, change } = kinds[name];
  const { sorted, chance, better } = ranking(methods);
  const show = ({ method, average, beats, orders }) =>
    `${quoted(method)} (${change(average)}; ${beats.join(", ")} of ${orders})`;
  const rest = sorted.filter((own) => !better.includes(own));
  const sentences = [
    `Averaged over the curve, random removal costs ${change(chance)}. In brackets: the same of each method, and how many of the ` +
      `${sorted[0].orders} random orders it beats, model by model. ` +
      (better.length > 0
        ? `Better than chance in every model: ${list(better.map(show))}`
        : "No method is better than chance in every model") +
      (rest.length > 0 ? `; not in every model: ${list(rest.map(show))}.` : "."),
  ];
  const [before, after] = [most(methods, "before"), most(methods, "after")];
  sentences.push(
    `At ${limit(found.settings.limit)}, at best ${percent(before.largest / heads, 0)} of the heads can go at once (${before.by}), ` +
      `and ${percent(after.largest / heads, 0)} after fine-tuning (${after.by}); medians over the models.`,
  );
  const last = median(methods.map(({ points }) => points.at(-1).share));
  const { fraction } = methods[0].points.at(-1);
  sentences.push(
    `With ${percent(fraction, 0)} of the heads gone a forward pass takes ${percent(last, 0)} of its time.`,
  );
  return sentences.join(" ");
}

function section(name, found) {
  const { title, change, limit, unit } = kinds[name];
  const { models, settings } = found;
  const [{ heads, parameters }] = models;
  const methods = byMethod(name, found);
  const places = quarters(methods[0].points);
  const share = ({ fraction }) => percent(fraction, 0);
  const costs = table(
    [
      "order of removal",
      ...places.map((point) => `${unit}, ${share(point)} gone`),
      ...places.map((point) => `fine-tuned, ${share(point)}`),
    ],
    methods.map(({ method, points }) => {
      const at = places.map(({ removed }) => points.find((point) => point.removed === removed));
      const tuned = at.map(({ tunedChange }) => (tunedChange === undefined ? "–" : change(tunedChange)));
      return [method, ...at.map((point) => change(point.change)), ...tuned];
    }),
  );
  const limits = table(
    [
      "order of removal",
      "heads that can go",
      "after fine-tuning",
      "after fine-tuning, beside the whole model fine-tuned",
    ],
    methods.map(({ method, before, after, afterControl }) => [
      method,
      ...[before, after, afterControl].map((one) => rangeOf(one, heads)),
    ]),
  );
  const times = table(
    ["heads gone", "none", ...methods[0].points.map(share)],
    [
      [
        "milliseconds",
        ms(median(methods.map(({ wholeMilliseconds }) => wholeMilliseconds))),
        ...methods[0].points.map((_, n) => ms(median(methods.map(({ points }) => points[n].milliseconds)))),
      ],
      [
        "of the whole model's",
        "100 %",
        ...methods[0].points.map((_, n) => percent(median(methods.map(({ points }) => points[n].share)), 0)),
      ],
    ],
  );
  const whole =
    name === "text"
      ? `loss ${mean(models.map(({ loss }) => loss)).toFixed(4)}, after the same fine-tuning ${mean(models.map(({ tuned }) => tuned.loss)).toFixed(4)}`
      : `accuracy ${percent(mean(models.map(({ accuracy }) => accuracy)))}, after the same fine-tuning ${percent(mean(models.map(({ tuned }) => tuned.accuracy)))}`;
  const judged =
    name === "text"
      ? `${thousands(settings.validation.count * settings.validation.length)} characters of the validation chapters (a part of those in the tables above)`
      : `${settings.validation} held-out examples`;
  return `### ${title}

${models.length} models of ${heads} heads and ${parameters.toLocaleString("en-US")} parameters; whole: ${whole}, on ${judged}. Fine-tuning: ${settings.fineTuning.steps} steps of ${settings.fineTuning.batch} at a learning rate of ${settings.fineTuning.optimizer.lr}, with
warm-up and decay, on examples to train on.

${costs}

Heads that can go at ${limit(settings.limit)} (tried ${steps(settings.stride)}, fine-tuned ${steps(settings.tuneEvery)}; median over models, least and most):

${limits}

![What removing heads costs and saves](pruning-${name}.svg)

${outcome(name, methods, heads, found)}

A forward pass: the whole model and all smaller ones of an order run in turns; medians over orders:

${times}
`;
}

function beside({ text }) {
  const methods = byMethod("text", text);
  const [{ heads }] = text.models;
  const gradient = methods.find(({ method }) => method === "gradient");
  const half =
    quarters(gradient.points).find(({ fraction }) => Math.abs(fraction - 0.5) < 0.1) ?? gradient.points.at(-1);
  const found = ({ median: middle }) => percent(middle / heads, 0);
  return `### Beside the papers

| study | models | heads that can go | time |
|---|---|---|---|
| Michel et al. 2019 ¹ | translation (WMT, 16 heads a layer); BERT (12) | 20 %; 40 %, “without incurring any noticeable negative impact”, by the gradient of the gates, without retraining | half of BERT's heads gone: up to 17.5 % more examples a second (large batches, GPU) |
| Voita et al. 2019 ² | translation (English–Russian WMT), 48 heads of the encoder | 38 of 48 (79 %) for 0.15 BLEU, by gates that are learnt while training goes on | – |
| here, text | ${heads} heads | ${found(gradient.before)} by gradient at ${kinds.text.limit(text.settings.limit)}, without retraining; ${found(gradient.after)} after fine-tuning | ${percent(half.fraction, 0)} gone: ${percent(1 / half.share - 1, 0)} more examples a second |

¹ [Are Sixteen Heads Really Better than One?](https://arxiv.org/abs/1905.10650), sections 4.2 and 4.3. ² [Analyzing Multi-Head Self-Attention: Specialized
Heads Do the Heavy Lifting, the Rest Can Be Pruned](https://arxiv.org/abs/1905.09418), abstract. Their models are larger by two to three orders of magnitude,
trained for days, and judged by BLEU or accuracy; percentages of loss and of BLEU are not the same thing.
`;
}

export function reportPruning(data) {
  const { methods, keepOnePerLayer } = data.text.settings;
  const counts = [...new Set(Object.keys(kinds).map((name) => data[name].settings.randomSeeds.length))];
  return `## Pruning

Heads are removed for good, so that the model gets smaller, in the order of ${list(methods.map(quoted))} (each computed once, on the whole
model, from examples to train on), of “gradient, re-estimated” (anew after every head) and at random (${counts.length === 1 ? `${counts[0]} orders` : `${counts.join(" orders for text, ")} for two relations`}).${keepOnePerLayer ? " Every layer keeps a head." : ""}
What is lost is measured on other text or examples than heads are scored on. One of the random orders is fine-tuned and timed, all are measured.

${section("text", data.text)}
${section("two-relations", data["two-relations"])}
${beside(data)}`;
}
