import type { TensorLike } from "../base/types.js";
import { draw, style } from "./draw.js";
import type { HeadwiseMap, MapCell, MappableModel } from "./types.js";

/** A matrix that is on screen. */
interface Matrix {
  readonly data: ArrayLike<number>;
  readonly rows: number;
  readonly columns: number;
  readonly labels: readonly string[];
}

/** The class of the element; made when it is defined, since Node has no HTMLElement. */
export function makeHeadwiseMap(): new () => HeadwiseMap {
  return class extends HTMLElement implements HeadwiseMap {
    static readonly observedAttributes = ["text", "layer", "head"];

    #weights: TensorLike | null = null;
    #tokens: readonly string[] | null = null;
    #model: MappableModel | null = null;
    #matrix: Matrix | null = null;
    #cell = { query: 0, key: 0 };
    #runs = 0;
    readonly #canvas = document.createElement("canvas");
    readonly #mark = document.createElement("span");
    readonly #read = document.createElement("p");

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(style);
      root.adoptedStyleSheets = [sheet];
      const map = document.createElement("div");
      map.className = "map";
      this.#canvas.tabIndex = 0;
      this.#canvas.setAttribute("role", "application");
      this.#canvas.setAttribute("aria-roledescription", "heat map");
      this.#read.setAttribute("aria-live", "polite");
      map.append(this.#canvas, this.#mark);
      root.append(map, this.#read);
      this.#canvas.addEventListener("keydown", (event) => this.#press(event));
      for (const type of ["pointermove", "pointerdown"] as const)
        this.#canvas.addEventListener(type, (event) => this.#point(event));
    }

    get weights() {
      return this.#weights;
    }
    set weights(weights) {
      this.#weights = weights;
      void this.#update();
    }
    get tokens() {
      return this.#tokens;
    }
    set tokens(tokens) {
      this.#tokens = tokens;
      void this.#update();
    }
    get model() {
      return this.#model;
    }
    set model(model) {
      this.#model = model;
      void this.#update();
    }
    get text() {
      return this.getAttribute("text") ?? "";
    }
    set text(text) {
      this.setAttribute("text", text);
    }
    get layer() {
      return Number(this.getAttribute("layer") ?? 0);
    }
    set layer(layer) {
      this.setAttribute("layer", String(layer));
    }
    get head() {
      return Number(this.getAttribute("head") ?? 0);
    }
    set head(head) {
      this.setAttribute("head", String(head));
    }

    connectedCallback(): void {
      void this.#update();
    }
    attributeChangedCallback(): void {
      void this.#update();
    }

    async #update(): Promise<void> {
      const run = ++this.#runs;
      if (!this.isConnected) return;
      await undefined; // what is set together is drawn once
      if (run !== this.#runs) return;
      try {
        const matrix = this.#model ? await this.#ask(this.#model) : matrixOf(this.#weights, this.head, this.#tokens);
        if (run === this.#runs) this.#show(matrix);
      } catch (error) {
        if (run !== this.#runs) return;
        this.#show(null); // so that the pointer reads nothing
        this.#read.textContent = String(error);
      }
    }

    async #ask(model: MappableModel): Promise<Matrix | null> {
      if (!model.tokenizer) throw new TypeError("headwise-map: the model has no tokenizer; give it `weights` instead");
      const { ids, tokens } = model.tokenizer.tokenize(this.text);
      if (ids.length === 0) return null;
      const { layer } = this;
      const { layers } = await model.forward(ids, {
        logits: "none",
        capture: { weights: "probabilities", layers: [layer] },
      });
      const labels = tokens.map((token) => token.replace(/^[ĠĊ▁]/, "") || "␣");
      return matrixOf(layers[layer]?.weights ?? null, this.head, this.#tokens ?? labels);
    }

    #show(matrix: Matrix | null): void {
      this.#matrix = matrix;
      this.#mark.hidden = matrix === null;
      if (!matrix) {
        this.#canvas.width = this.#canvas.height = 1;
        this.#canvas.setAttribute("aria-label", "Attention weights: none");
        this.#read.textContent = "";
        return;
      }
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      draw(this.#canvas, matrix.data, matrix.rows, matrix.columns, dark);
      this.#canvas.setAttribute("aria-label", `Attention weights, ${matrix.rows} queries by ${matrix.columns} keys`);
      this.#tell(nearest(matrix, this.#cell.query, this.#cell.key));
    }

    /** To another cell, if it is one. */
    #move(query: number, key: number): void {
      const cell = nearest(this.#matrix!, query, key);
      if (cell.query !== this.#cell.query || cell.key !== this.#cell.key) this.#tell(cell);
    }

    /** Marks a cell and says what it holds. */
    #tell(cell: { query: number; key: number }): void {
      const { data, rows, columns, labels } = this.#matrix!;
      this.#cell = cell;
      const { style } = this.#mark;
      style.left = `${(100 * this.#cell.key) / columns}%`;
      style.top = `${(100 * this.#cell.query) / rows}%`;
      style.width = `${100 / columns}%`;
      style.height = `${100 / rows}%`;
      const weight = data[this.#cell.query * columns + this.#cell.key]!;
      const label = (token: number) => labels[token] ?? String(token);
      const [from, to] = [label(this.#cell.query), label(this.#cell.key)];
      this.#read.textContent = `query ${from} → key ${to}: ${weight.toFixed(2)}`;
      this.dispatchEvent(new CustomEvent<MapCell>("cell", { detail: { ...this.#cell, weight } }));
    }

    #press(event: KeyboardEvent): void {
      const steps: Record<string, [number, number]> = {
        ...{ ArrowUp: [-1, 0], ArrowDown: [1, 0] },
        ...{ ArrowLeft: [0, -1], ArrowRight: [0, 1] },
      };
      const step = steps[event.key];
      if (!step || !this.#matrix) return;
      event.preventDefault();
      this.#move(this.#cell.query + step[0], this.#cell.key + step[1]);
    }

    #point({ clientX, clientY }: PointerEvent): void {
      if (!this.#matrix) return;
      const { left, top, width, height } = this.#canvas.getBoundingClientRect();
      const { rows, columns } = this.#matrix;
      this.#move(Math.floor(((clientY - top) / height) * rows), Math.floor(((clientX - left) / width) * columns));
    }
  };
}

/** The cell nearest to a place that may lie outside. */
function nearest({ rows, columns }: Matrix, query: number, key: number) {
  const within = (at: number, count: number) => Math.min(count - 1, Math.max(0, at));
  return { query: within(query, rows), key: within(key, columns) };
}

/** One head's matrix of weights [L, S] or [H, L, S]. */
function matrixOf(weights: TensorLike | null, head: number, labels: readonly string[] | null): Matrix | null {
  if (!weights) return null;
  const shape = "shape" in weights ? weights.shape : weights.dims;
  const [rows, columns] = shape.slice(-2) as [number, number];
  const size = rows * columns;
  const count = shape.slice(0, -2).reduce((product, extent) => product * extent, 1);
  const all = weights.data as ArrayLike<number>;
  if (shape.length < 2 || all.length !== count * size)
    throw new TypeError(`headwise-map: weights: expected [L, S] or [H, L, S], got shape [${shape.join(", ")}]`);
  const at = count === 1 ? 0 : head;
  if (!(at >= 0 && at < count)) throw new TypeError(`headwise-map: head: expected one of ${count} heads, got ${head}`);
  const data = Array.prototype.slice.call(all, at * size, (at + 1) * size) as number[];
  return { data, rows, columns, labels: labels ?? [] };
}
