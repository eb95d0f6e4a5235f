/**
 * Colour scales. Every head has its own hue (Okabe and Ito's, told apart by colour-blind eyes) and a ramp whose
 * lightness moves one way from 0 to 1, so that it also reads without colour. All ramps share the fixed domain 0 … 1.
 * Stops are set by hand for light and dark paper, which d3-scale-chromatic's schemes do not have.
 */
import { scaleLinear } from "d3-scale";

/** 256 colours as RGBA bytes, from the low to the high end of a scale. */
export type Ramp = Uint8ClampedArray;

/** Index of the single head in lists of heads: after the four. */
export const SINGLE = 4;

type Stops = readonly string[];

const heads: { light: Stops; dark: Stops }[] = [
  {
    light: ["#f0f5fa", "#a9cbe8", "#4d94cb", "#135f9e", "#063763"],
    dark: ["#17202a", "#1f4c73", "#2f7fbe", "#79b8ea", "#d9edff"],
  }, // blue
  {
    light: ["#fbf3ee", "#f5c3a5", "#e3804a", "#b14a12", "#662604"],
    dark: ["#271c16", "#6e3517", "#c25e25", "#f2a077", "#ffe6d8"],
  }, // vermillion
  {
    light: ["#eef7f3", "#a3d8c3", "#3fa784", "#0c6f51", "#04402e"],
    dark: ["#15231e", "#17543f", "#1f9270", "#6fcfae", "#d3f8ea"],
  }, // green
  {
    light: ["#faf1f6", "#e8bcd5", "#c97da9", "#96457a", "#571d43"],
    dark: ["#261a22", "#642f50", "#b0588f", "#e5a2c8", "#ffe3f3"],
  }, // reddish purple
  {
    light: ["#f3f3f1", "#cccccb", "#949699", "#585b60", "#26282c"],
    dark: ["#1e2023", "#43464b", "#7a7e85", "#b8bcc3", "#f2f3f5"],
  }, // the single head: grey
];

/** Negative orange, positive purple, zero like the paper. */
const signed = {
  light: ["#7f3b08", "#c96a10", "#f2b366", "#f7f5f2", "#b3a8d3", "#7261ab", "#35126b"],
  dark: ["#ffc98a", "#d98230", "#7d4a1c", "#1d1d20", "#47407a", "#8478cf", "#d5cdfa"],
};

/** The first and the second of two things, and all else, on one map: in hues that no head has. */
const sides: { light: Stops; dark: Stops }[] = [
  { light: ["#f7f3e8", "#dfc98f", "#b8901f", "#7a5600"], dark: ["#221e14", "#5c4712", "#a07c1d", "#e0b23f"] }, // ochre
  { light: ["#f2f1fb", "#c3bdee", "#8177d3", "#4b3fb0"], dark: ["#1c1b2b", "#3d3580", "#6c60c9", "#a99ff2"] }, // indigo
  { light: ["#f3f3f1", "#cccccb", "#949699", "#585b60"], dark: ["#1e2023", "#43464b", "#7a7e85", "#b8bcc3"] }, // grey
];

const bytes = (hex: string) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));

function ramp(stops: Stops): Ramp {
  const scale = scaleLinear()
    .domain(stops.map((_, i) => (255 * i) / (stops.length - 1)))
    .range(stops.map(bytes));
  const table = new Uint8ClampedArray(4 * 256);
  for (let i = 0; i < 256; ++i) table.set([...scale(i), 255], 4 * i);
  return table;
}

const tablesOf = (paper: "light" | "dark") => ({
  heads: heads.map((stops) => ramp(stops[paper])),
  sides: sides.map((stops) => ramp(stops[paper])),
  signed: ramp(signed[paper]),
});
const tables = { light: tablesOf("light"), dark: tablesOf("dark") };

export const headRamp = (head: number, dark: boolean): Ramp => tables[dark ? "dark" : "light"].heads[head];
/** 0: the first, 1: the second, 2: all else. */
export const sideRamp = (side: 0 | 1 | 2, dark: boolean): Ramp => tables[dark ? "dark" : "light"].sides[side];
export const signedRamp = (dark: boolean): Ramp => tables[dark ? "dark" : "light"].signed;

/** A CSS colour out of a ramp; `position` 0 … 1. */
export function cssColor(ramp: Ramp, position: number): string {
  const at = 4 * Math.round(255 * Math.min(1, Math.max(0, position)));
  return `rgb(${ramp[at]} ${ramp[at + 1]} ${ramp[at + 2]})`;
}

/** The ramp as a CSS gradient, for legends. */
export const cssGradient = (ramp: Ramp): string =>
  `linear-gradient(to right, ${Array.from({ length: 9 }, (_, i) => cssColor(ramp, i / 8)).join(", ")})`;
