// Everyone in the race.
import * as headwise from "./headwise.mjs";
import * as jax from "./jax.mjs";
import * as onnxruntime from "./onnxruntime.mjs";
import * as plain from "./plain.mjs";
import * as tfjs from "./tfjs.mjs";

const everyone = [headwise, headwise.before, onnxruntime, jax, tfjs, plain];

/** Names as the tables show them. */
export const peers = [onnxruntime, jax, tfjs, plain].map(({ name }) => name);

export function chosen({ only, folders }) {
  const known = everyone.filter(({ name }) => name !== "before" || folders.before !== undefined);
  return known.filter(({ name }) => only === undefined || only.includes(name) || name === "before");
}
