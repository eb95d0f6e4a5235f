/** Scenes for a talk: addresses of the page, in order, kept by the browser. */
const KEY = "headwise.scenes";

function read(): string[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(list) ? list.filter((each) => typeof each === "string" && each.startsWith("#")) : [];
  } catch {
    return []; // storage may be refused, and may hold anything
  }
}

export class Present {
  on = $state(false);
  scenes = $state.raw<readonly string[]>(read());
  at = $state(-1);

  save(address: string): void {
    this.#keep([...this.scenes, address]);
    this.at = this.scenes.length - 1;
  }

  remove(index: number): void {
    this.#keep(this.scenes.filter((_, i) => i !== index));
    this.at = Math.min(this.at, this.scenes.length - 1);
  }

  /** To the scene before or after; stays at the ends. */
  go(step: number): void {
    const next = Math.min(this.scenes.length - 1, Math.max(0, this.at + step));
    if (this.scenes.length === 0) return;
    this.at = next;
    location.hash = this.scenes[next];
  }

  #keep(scenes: readonly string[]): void {
    this.scenes = scenes;
    try {
      localStorage.setItem(KEY, JSON.stringify(scenes));
    } catch {
      // Then they last as long as the page.
    }
  }
}
