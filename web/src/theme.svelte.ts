/** Light or dark paper, followed live. CSS does the same for all that is not a canvas. */
import { MediaQuery } from "svelte/reactivity";

const query = new MediaQuery("screen and (prefers-color-scheme: dark)");

const print = new MediaQuery("print");

export const theme = {
  get dark(): boolean {
    return query.current;
  },
  /** On paper all of a page is in view. */
  get print(): boolean {
    return print.current;
  },
  /** The colour between cells and under hatching: the paper's, as in styles.css. */
  get paper(): string {
    return query.current ? "#1b1d21" : "#ffffff";
  },
  get hatch(): string {
    return query.current ? "#4a4e57" : "#c4c3bd";
  },
};
