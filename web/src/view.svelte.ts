/** Which part of the page is on screen, and what it shows: the address says both after "#", so that links, back and forward work. */

/** The parts of the strip, in its order; the first is the one without a name in the address. */
export const STRIP = [
  { name: "show", title: "Show me" },
  { name: "step", title: "Step through" },
  { name: "train", title: "Train" },
  { name: "prune", title: "Prune" },
  { name: "model", title: "Your model" },
] as const;
export const VIEWS = [...STRIP, { name: "exercises", title: "Exercises" }] as const;

type View = (typeof VIEWS)[number]["name"];

function read(hash: string): { view: View; parameters: URLSearchParams } {
  const [name, query = ""] = hash.slice(1).split("?");
  return {
    view: VIEWS.find((view) => view.name === name)?.name ?? VIEWS[0].name,
    parameters: new URLSearchParams(query),
  };
}

class Shown {
  /** What each part shows now, as parameters of an address: the page says it. */
  parametersOf: (view: View) => URLSearchParams = () => new URLSearchParams();
  #read = $state.raw(read(location.hash));
  /** The browser's address as the page knows it. */
  #known = location.hash;
  /** The parts that were on screen before: they stay as they are, hidden. */
  opened = $state<readonly View[]>([this.#read.view]);

  constructor() {
    addEventListener("hashchange", () => {
      const before = this.view;
      this.#known = location.hash;
      this.#read = read(location.hash);
      if (!this.opened.includes(this.view)) this.opened = [...this.opened, this.view];
      if (this.view !== before) scrollTo(0, 0);
    });
  }

  get view(): View {
    return this.#read.view;
  }

  /** What the address says that the part shows: changes with links, back and forward alone. */
  get parameters(): URLSearchParams {
    return this.#read.parameters;
  }

  /** The address of a part as it is now: "#show?text=…". The browser's follows it a moment later. */
  addressOf(view: View): string {
    const parameters = this.parametersOf(view);
    return `#${view}${parameters.size > 0 ? `?${parameters}` : ""}`;
  }

  /** The whole address of what is on screen. */
  get link(): string {
    return new URL(this.addressOf(this.view), location.href).href;
  }

  /** The browser's address follows the page. A step that one may want to go back from is an entry of the history. */
  follow(isStep: boolean): void {
    if (location.hash !== this.#known) return; // of a link that was followed just now the page hears in a moment
    const address = this.addressOf(this.view);
    if (address === (location.hash || `#${VIEWS[0].name}`)) return;
    if (isStep) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
    this.#known = location.hash;
  }
}

export const shown = new Shown();
