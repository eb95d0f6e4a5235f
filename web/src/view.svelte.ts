/** Which part of the page is on screen: the address says it after "#", so that links, back and forward work. */

/** The parts in the order of the strip; the first is the one without a name in the address. */
export const VIEWS = [
  { name: "show", title: "Show me" },
  { name: "step", title: "Step through" },
  { name: "train", title: "Train" },
  { name: "prune", title: "Prune" },
  { name: "model", title: "Your model" },
] as const;

export type View = (typeof VIEWS)[number]["name"];

function viewIn(hash: string): View {
  const name = hash.slice(1).split("?")[0];
  return VIEWS.find((view) => view.name === name)?.name ?? VIEWS[0].name;
}

class Shown {
  view = $state<View>(viewIn(location.hash));
  /** The parts that were on screen before: they stay as they are, hidden. */
  opened = $state<readonly View[]>([this.view]);

  constructor() {
    addEventListener("hashchange", () => this.#show(viewIn(location.hash)));
  }

  #show(view: View): void {
    if (view === this.view) return;
    this.view = view;
    if (!this.opened.includes(view)) this.opened = [...this.opened, view];
    scrollTo(0, 0);
  }
}

export const shown = new Shown();
