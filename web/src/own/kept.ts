/** Models that were opened from addresses: their names and sizes are kept here, their files by the library. */
import type { HubModel } from "headwise";

export interface Kept {
  readonly title: string;
  readonly source: string | HubModel;
  readonly bytes: number;
}

const KEY = "headwise.models";

/** Storage may be refused, and may hold anything. */
function read(): Kept[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

function write(list: readonly Kept[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(list));
  } catch {
    // Then the list is empty the next time.
  }
}

export const forget = (title: string): void => write(read().filter((each) => each.title !== title));

export function remember(model: Kept): void {
  forget(model.title);
  write([...read(), model]);
}

/** Those whose files are still there. */
export async function kept(isCached: (source: Kept["source"]) => Promise<boolean>): Promise<Kept[]> {
  const list = read();
  const there = await Promise.all(list.map(({ source }) => isCached(source).catch(() => false)));
  return list.filter((_, i) => there[i]);
}
