import type { HeadStatistics } from "headwise";

const names = { previous: "previous", next: "next", self: "itself", first: "first", duplicate: "same token" } as const;

/** From this mean weight on, a head's habit is worth a word. */
const FROM = 0.25;

/** Where a head's weight goes most, of the places that have a name: "previous 46 %". It describes this text, not the head's purpose. */
export function habitOf(statistics: HeadStatistics): string | undefined {
  const shares = Object.entries(names).map(([place, name]) => ({
    name,
    share: statistics[place as keyof typeof names] ?? 0,
  }));
  const { name, share } = shares.reduce((most, each) => (each.share > most.share ? each : most));
  return share >= FROM ? `${name} ${Math.round(100 * share)} %` : undefined;
}
