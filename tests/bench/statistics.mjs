// Medians rather than means: on a shared machine the slow outliers say nothing about the program.

/** The value below which `share` of the values lie, interpolated. */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)];
  return below + (sorted[Math.ceil(at)] - below) * (at - Math.floor(at));
}

export const median = (values) => quantile(values, 0.5);

/** Of times: lower is better. */
export const summary = (values) => ({ median: median(values), best: Math.min(...values), rounds: values.length });

/** How many times as long `others` took, round by round; and best against best. */
export function ratio(others, ours) {
  const rounds = Math.min(others.length, ours.length);
  const each = Array.from({ length: rounds }, (_, round) => others[round] / ours[round]);
  return {
    median: median(each),
    q1: quantile(each, 0.25),
    q3: quantile(each, 0.75),
    best: Math.min(...others) / Math.min(...ours),
  };
}
