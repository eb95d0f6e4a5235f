/** Places of things in charts. */

/**
 * Places for labels that want to be at `wanted`, at least `room` apart and within low … high where they all fit: moved
 * as little as it takes, in the order in which they lie.
 */
export function apart(wanted: readonly number[], room: number, low: number, high: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const placed = [...wanted];
  let least = low;
  for (const i of order) least = (placed[i] = Math.max(placed[i], least)) + room;
  let most = high;
  for (const i of order.reverse()) most = (placed[i] = Math.min(placed[i], most)) - room;
  return placed;
}
