/** How alike two texts are to the model, and what each head has to do with it: measured with the head off. No DOM. */
import type { Side } from "./side.svelte";
import { dot } from "./statistics";
import type { HeadPlace, Subject } from "./subject";

export class Effects {
  /** Cosine of the two texts' embeddings, with the present gates and with all heads on. */
  similarity = $state<number | null>(null);
  allOn = $state<number | null>(null);
  /** By layer and head: the similarity with this head off too. */
  without = $state.raw<readonly (readonly number[])[] | null>(null);

  /** Measures all heads, one after the other. */
  async measure(subject: Subject, sides: readonly [Side, Side], signal: AbortSignal): Promise<void> {
    const [one, other] = sides.map(({ shown }) => shown);
    this.without = null;
    if (!one?.embedding || !other?.embedding || !subject.without) {
      this.similarity = this.allOn = null;
      return;
    }
    this.similarity = dot(one.embedding, other.embedding);
    this.allOn = dot(one.openEmbedding!, other.openEmbedding!);
    const off = async (head: HeadPlace) => {
      const [a, b] = await Promise.all([one, other].map((shown) => subject.without!(shown, head, signal)));
      return dot(a, b);
    };
    const without: number[][] = [];
    for (const [layer, count] of subject.heads.entries()) {
      without.push([]);
      for (let head = 0; head < count; ++head) without[layer].push(await off({ layer, head }));
    }
    if (!signal.aborted) this.without = without;
  }
}
