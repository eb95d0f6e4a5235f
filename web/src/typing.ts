/** Long work gives way while someone types, so that what is typed has the processor for itself. */

/** Milliseconds after the last key that count as a pause in typing. */
const PAUSE = 400;

let last = -Infinity;
addEventListener("input", () => (last = performance.now()), { capture: true, passive: true });

/** Resolves when nobody types. */
export async function quiet(): Promise<void> {
  for (let left = last + PAUSE - performance.now(); left > 0; left = last + PAUSE - performance.now())
    await new Promise((resolve) => setTimeout(resolve, left));
}
