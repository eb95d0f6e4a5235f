/** How alike two texts are to the model, and what each head has to do with it: measured with the head off. No DOM. */
import type { Side } from "./side.svelte";
import { dot } from "./statistics";
import { FEW, type HeadPlace, type Input, type Subject } from "./subject";

export class Effects {
  /** Cosine of the two texts' embeddings, with the present gates and with all heads on. */
  similarity = $state<number | null>(null);
  allOn = $state<number | null>(null);
  /** Whether these are of the texts and gates on screen. */
  measured = $state(false);
  /** By layer and head: the similarity with this head off too. */
  without = $state.raw<readonly (readonly number[])[] | null>(null);

  /** Measures all heads, one after the other. */
  async measure(subject: Subject, sides: readonly [Side, Side], signal: AbortSignal): Promise<void> {
    const [one, other] = sides.map(({ shown }) => shown);
    this.without = null;
    this.measured = false;
    if (!one || !other || !subject.embed) {
      this.similarity = this.allOn = null;
      return;
    }
    const similarity = async (off: HeadPlace | null, gates?: Input["gates"]) => {
      const inputs = [one, other].map((shown) => (gates ? { ...shown, gates } : shown));
      const [a, b] = await Promise.all(inputs.map((input) => subject.embed!(input, off, signal)));
      return dot(a, b);
    };
    const now = await similarity(null);
    const open = one.gates.map((of) => of.map(() => 1));
    const allOn = one.gates.flat().includes(0) ? await similarity(null, open) : now;
    if (signal.aborted) return;
    this.similarity = now;
    this.allOn = allOn;
    this.measured = true;
    if (one.gates.flat().length > FEW) return; // two passes for each of more would take too long
    const without: number[][] = [];
    for (const [layer, count] of subject.heads.entries()) {
      without.push([]);
      for (let head = 0; head < count; ++head) without[layer].push(await similarity({ layer, head }));
    }
    if (!signal.aborted) this.without = without;
  }
}
