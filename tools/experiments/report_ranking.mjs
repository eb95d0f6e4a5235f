// The page's section on measures of importance beside random orders. All statements about the results are computed from the data.
import { list, percent, table } from "./markdown.mjs";
import { worse } from "./pruned.mjs";
import { mean, median, spread } from "./statistics.mjs";

const kinds = {
  text: {
    title: "Models of text",
    change: (value) => `${value >= 0 ? "+" : "−"}${Math.abs(100 * value).toFixed(1)} %`,
    unit: "loss added",
  },
  "two-relations": {
    title: "Models of two relations",
    change: (value) => `${value > 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)} points`,
    unit: "accuracy lost",
  },
};

/** The mean change of a curve, or that at about half of the heads. */
const overCurve = (change, whole) => (curve) => mean(curve.points.map((point) => change(point, whole)));
const atHalf = (change, whole) => (curve) => change(curve.points[Math.round(whole.heads / 2) - 1], whole);

/** The share of random orders that cost more than an order; those that cost as much count half. */
function percentile(value, others) {
  const more = others.filter((other) => other > value).length;
  const same = others.filter((other) => other === value).length;
  return (more + same / 2) / others.length;
}

/** By method: changes and percentiles of each model. */
export function ranked(name, { models }) {
  const change = worse[name];
  const methods = [...new Set(models[0].curves.map(({ method }) => method))];
  return methods.map((method) => {
    const rows = models.map((whole) => {
      const own = whole.curves.filter((curve) => curve.method === method);
      const random = whole.curves.filter((curve) => curve.method === "random");
      const [values, halves] = [overCurve, atHalf].map((of) => {
        const measure = of(change, whole);
        const value = median(own.map(measure));
        return { value, place: percentile(value, random.map(measure)) };
      });
      return { values, halves };
    });
    const of = (key) => ({
      change: spread(rows.map((row) => row[key].value)),
      places: rows.map((row) => row[key].place),
    });
    return { method, average: of("values"), half: of("halves") };
  });
}

const placesOf = (places) => {
  const shown = places.map((place) => (100 * place).toFixed(0));
  return new Set(shown).size === 1 ? `${shown[0]}` : shown.join(", ");
};

function outcome(name, methods) {
  const { change } = kinds[name];
  const random = methods.find(({ method }) => method === "random");
  const others = methods
    .filter(({ method }) => method !== "random")
    .sort((a, b) => a.average.change.mean - b.average.change.mean);
  const always = others.filter(({ average }) => average.places.every((place) => place >= 0.95));
  const [best] = others;
  const gradient = others.find(({ method }) => method === "gradient");
  const gain = gradient.average.change.mean - best.average.change.mean;
  const sentences = [
    `Averaged over the curve, the median random order costs ${change(random.average.change.mean)}, and ${list(
      others.map(({ method, average }) => `${method} ${change(average.change.mean)}`),
    )}.`,
    always.length > 0
      ? `Better than 95 % of the random orders in every model: ${list(always.map(({ method }) => method))}.`
      : "No method is better than 95 % of the random orders in every model.",
    best === gradient
      ? "None of the others is better than the plain gradient."
      : `The best is ${best.method}, ${(100 * gain).toFixed(1)} points better than the plain gradient.`,
  ];
  return sentences.join(" ");
}

function section(name, found) {
  const { title, change, unit } = kinds[name];
  const methods = ranked(name, found);
  const { models, settings } = found;
  const rows = methods.map(({ method, average, half }) => [
    method === "random" ? "random (the median order)" : method,
    ...[average, half].flatMap((each) => [change(each.change.mean), placesOf(each.places)]),
  ]);
  const learned = models.map(({ curves }) => curves.find(({ method }) => method === "learned gates"));
  const closed = mean(learned.map(({ gates }) => gates.flat().filter((gate) => gate === 0).length));
  const errors = models.map(({ curves }) => {
    const shapley = curves.find(({ method }) => method === "Shapley");
    return mean(shapley.standardErrors.flat()) / mean(shapley.importance.flat().map(Math.abs));
  });
  return `### ${title}

${models.length} models of ${models[0].heads} heads, ${settings.randomSeeds.length} random orders of each. Shapley values are of ${settings.permutations} orders; their standard errors are
${percent(mean(errors), 0)} of the values, on the average. Learned gates: ${settings.gates.steps} steps, with what a head saves on the average as the penalty; they close ${closed.toFixed(1)} heads.

${table(["order of removal", `${unit}, over the curve`, "percentile", `${unit}, half of the heads gone`, "percentile"], rows)}

${outcome(name, methods)}
`;
}

/** Key/value heads in groups. */
function grouped({ models, fineTuning }) {
  const change = worse.text;
  const show = kinds.text.change;
  const cells = models[0].groups.map(({ groups, method, parameters }, n) => {
    const own = models.map((whole) => ({ whole, found: whole.groups[n] }));
    const at = mean(own.map(({ whole, found }) => change(found, whole)));
    const tuned = mean(own.map(({ whole, found }) => change(found.tuned, whole)));
    return [String(groups), method, parameters.toLocaleString("en-US"), show(at), show(tuned)];
  });
  const control = mean(models.map((whole) => change(whole.tuned, whole)));
  const pairs = models[0].groups.flatMap(({ groups, method }, n) => {
    if (method !== "procrustes") return [];
    const gain = (of) => mean(models.map((whole) => of(whole.groups[n - 1]) - of(whole.groups[n])));
    return [{ groups, at: gain(({ loss }) => loss), tuned: gain(({ tuned }) => tuned.loss) }];
  });
  const better = (key) => pairs.filter((pair) => pair[key] > 0).map(({ groups }) => String(groups));
  const groupsOf = (names) => (names.length === 0 ? "no number of groups" : `${list(names)} groups`);
  return `### Key/value heads in groups

The models of text with fewer key/value heads in each layer (\`groupHeads\`), by the mean of neighbours and by the mean after Procrustes analysis. The
whole model after the same fine-tuning (${fineTuning.steps} steps of ${fineTuning.batch}): ${show(control)}.

${table(["groups", "method", "parameters", "loss added", "fine-tuned"], cells)}

The aligned mean costs less than the plain one with ${groupsOf(better("at"))} at once, and with ${groupsOf(better("tuned"))} after fine-tuning.
`;
}

export function reportRanking(data) {
  return `## Which heads can go

Heads are ranked on one part of the data (of text: stretches of the chapters to train on; of relations: examples of their own), removed one by one in that order, and
the smaller models are judged on another part (the validation chapters; the test examples), without fine-tuning. A percentile is the share of random orders of the
same model that cost more: 100 is better than all of them. Where models differ, there is one for each. [heads.md](../heads.md) defines the methods.

${section("text", data.text)}
${section("two-relations", data["two-relations"])}
${data.text.models[0].groups.length > 0 ? grouped(data.text) : ""}`;
}
