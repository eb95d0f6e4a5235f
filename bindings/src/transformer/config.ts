/** The configuration of a transformer. */
import { fitRope, ropeTable } from "../attention/rotary_embedding.js";
import {
  checkBoolean,
  checkInteger,
  checkOneOf,
  float32,
  integer,
  invalidOption,
  maxExtent,
  oneOf,
  readList,
  refuseOtherLength,
  seed,
} from "../base/checks.js";
import { dtypes } from "../runtime/native.js";
import { HeadwiseError } from "../base/errors.js";
import { group, optional, readOptions, withDefault, type Checked, type OptionTable } from "../base/options.js";
import { prunedConfig, resolveConfig } from "../module/config.js";
import type { ResolvedConfig } from "../module/types.js";
import type { LayerOptions, PatchConfig, ResolvedTransformerConfig, TransformerConfig } from "./types.js";

const maxLayers = 1000;
const maxHeads = 4096;

const off = /* @__PURE__ */ withDefault(checkBoolean, false);

const biasTable = {
  qkv: optional(checkBoolean),
  out: optional(checkBoolean),
  feedForward: optional(checkBoolean),
  readout: optional(checkBoolean),
};

const patchTable = {
  channels: withDefault(integer(1), 3),
  size: integer(1),
  grid: (value, name) => {
    const grid = readList(value, name, "[rows, columns]", 2);
    refuseOtherLength(grid, name, 2);
    return Object.freeze(grid.map((side) => checkInteger(side, name, 1, 2 ** 15))) as readonly [number, number];
  },
  bias: withDefault(checkBoolean, true),
  classToken: withDefault(checkBoolean, true),
  registerTokens: withDefault(integer(0, 1024), 0),
} satisfies OptionTable<PatchConfig>;

const layerTable = {
  window: optional(checkWindow),
  rope: (value, name) => (value === undefined || value === false ? value : group(ropeTable)(value, name)),
  norm1: optional(checkBoolean),
} satisfies OptionTable<LayerOptions>;

const configTable = {
  vocabSize: optional(integer(0)),
  contextLength: optional(integer(1)),
  layers: integer(1, maxLayers),
  embedDim: integer(1),
  numHeads: integer(1, maxHeads),
  numKvHeads: optional(integer(1, maxHeads)),
  headDim: optional(integer(1)),
  feedForwardDim: optional(integer(0)),
  norm: withDefault(oneOf(["layer", "rms"]), "layer"),
  normEpsilon: optional(float32("> 0")),
  normBias: optional(checkBoolean),
  normPlacement: withDefault(oneOf(["before", "after", "both", "parallel", "parallel-shared"]), "before"),
  embeddingNorm: off,
  finalNorm: optional(checkBoolean),
  queryKeyNorm: off,
  bias: optional((value, name) => (typeof value === "boolean" ? value : group(biasTable)(value, name))),
  activation: withDefault(oneOf(["relu", "gelu", "gelu-erf", "quick-gelu", "silu", "silu-gated", "swiglu"]), "gelu"),
  gated: optional(checkBoolean),
  positions: withDefault(oneOf(["learned", "rotary", "sinusoidal", "alibi", "none"]), "learned"),
  positionsFrom: withDefault(checkPositionsFrom, "order"),
  rope: optional(group(ropeTable)),
  causal: withDefault(checkBoolean, true),
  scale: optional(float32(">= 0")),
  softcap: withDefault(float32(">= 0"), 0),
  layerOptions: optional((value, name) =>
    readList(value, name, "an array of each layer's options", maxLayers).map((layer, n) =>
      group(layerTable)(layer ?? {}, `${name}[${n}]`),
    ),
  ),
  embeddingScale: optional(float32("")),
  tokenTypes: withDefault(integer(0), 0),
  patches: optional(group(patchTable)),
  head: optional(checkBoolean),
  tieEmbeddings: withDefault(checkBoolean, true),
  headBias: off,
  headTransform: off,
  logitSoftcap: withDefault(float32(">= 0"), 0),
  pooler: optional(oneOf(["none", "row", "norm", "tanh", "relu", "transform"])),
  pooledRow: withDefault(checkPooledRow, "first"),
  labels: withDefault(integer(0), 0),
  projectionDim: withDefault(integer(0), 0),
  dropout: withDefault(float32(">= 0 and < 1"), 0),
  seed: withDefault(seed, 0),
  dtype: withDefault(oneOf(dtypes), "f32"),
  heads: optional(checkHeads),
} satisfies OptionTable<TransformerConfig>;

type Given = Checked<typeof configTable>;

function checkWindow(value: unknown, name: string): { left?: number; right?: number } {
  const side = optional(integer(0));
  const { left, right } = group({ left: side, right: side })(value, name);
  return Object.freeze({ ...(left !== undefined && { left }), ...(right !== undefined && { right }) });
}

function checkPositionsFrom(value: unknown, name: string): "order" | { padding: number } {
  return value === "order" ? value : Object.freeze(group({ padding: integer(0) })(value, name));
}

function checkPooledRow(value: unknown, name: string): "first" | "largest" | { token: number } {
  if (typeof value === "string") return checkOneOf(value, name, ["first", "largest"]);
  return Object.freeze(group({ token: integer(0) })(value, name));
}

/** Of a layer of the first model. */
export const allHeads = ({ numHeads }: { numHeads: number }) =>
  Object.freeze(Array.from({ length: numHeads }, (_, h) => h));

/** The heads of each layer that are left: indices in the first model, ascending. */
function checkHeads(value: unknown, name: string): readonly (readonly number[])[] {
  return readList(value, name, "an array of each layer's heads", maxLayers).map((layer, n) => {
    const at = `${name}[${n}]`;
    const heads = readList(layer, at, "an array of head indices", maxHeads);
    const indices = heads.map((head) => checkInteger(head, at, 0, maxHeads - 1));
    if (indices.some((head, place) => place > 0 && head <= indices[place - 1]!))
      throw invalidOption(at, "head indices that ascend", indices);
    return Object.freeze(indices);
  });
}

const refuse = (message: string) => new HeadwiseError("invalid-option", message);

function fitActivation({ activation, gated }: Given): boolean {
  const named = activation === "silu-gated" || activation === "swiglu";
  if (named && gated === false) throw refuse(`gated: activation "${activation}" is gated`);
  return gated ?? named;
}

function fitBias({ bias, norm }: Given): ResolvedTransformerConfig["bias"] {
  const all = typeof bias === "boolean" ? bias : norm === "layer";
  const { qkv = all, out = all, feedForward = all, readout = all } = typeof bias === "object" ? bias : {};
  return Object.freeze({ qkv, out, feedForward, readout });
}

/** Positions that there are: of patches as many as these and the class token. */
function fitContext({ vocabSize, contextLength, patches }: Given): number {
  if (patches === undefined) {
    checkInteger(vocabSize, "vocabSize", 1, maxExtent);
    return checkInteger(contextLength, "contextLength", 1, maxExtent);
  }
  if (vocabSize) throw refuse("patches: a model reads tokens or patches, so that vocabSize is 0");
  const rows = patches.grid[0] * patches.grid[1] + Number(patches.classToken);
  if (contextLength !== undefined && contextLength !== rows)
    throw invalidOption("contextLength", `${rows}, as patches has`, contextLength);
  return rows;
}

function fitLayers(given: Given, headDim: number): readonly LayerOptions[] {
  const { layers, positions, norm, normPlacement } = given;
  const list = given.layerOptions ?? Array.from({ length: layers }, () => ({}) as Checked<typeof layerTable>);
  refuseOtherLength(list, "layerOptions (one object a layer)", layers);
  return Object.freeze(
    list.map(({ window, rope, norm1 }, n) => {
      const at = `layerOptions[${n}]`;
      if (rope !== undefined && positions !== "rotary") throw refuse(`${at}.rope: positions is "${positions}"`);
      if (norm1 === false && normPlacement === "after") throw refuse(`${at}.norm1: there is none before the attention`);
      return Object.freeze({
        ...(window && { window }),
        ...(rope !== undefined && { rope: rope && Object.freeze(fitRope(rope, headDim, `${at}.rope.`)) }),
        ...(norm1 === false && { norm1 }),
      });
    }),
  );
}

function fitReadout(given: Given) {
  const { vocabSize = 0, labels, projectionDim, headTransform, headBias } = given;
  const classes = labels > 0 || projectionDim > 0;
  if (labels > 0 && projectionDim > 0) throw refuse("labels, projectionDim: a model has one of them at most");
  const { head = vocabSize > 0 && !classes, pooler = classes ? "row" : "none" } = given;
  if (head && (vocabSize === 0 || classes))
    throw refuse("head: only tokens have logits, without labels and projectionDim");
  if (!head && (headTransform || headBias)) throw refuse("headTransform, headBias: there is no head");
  if (classes && pooler === "none") throw refuse("pooler: labels and projectionDim need a pooled row");
  return { head, pooler };
}

/** Checks a configuration, and fills in the defaults. */
export function resolveTransformerConfig(config: TransformerConfig): ResolvedTransformerConfig {
  if (config === undefined) throw invalidOption("transformer", "a configuration { vocabSize, … }", config);
  const { rope: ropeLike, patches, ...given } = readOptions(config, "transformer", configTable);
  const all = { ...given, rope: ropeLike, patches };
  const { layers, positions, norm, normPlacement } = given;
  const { embedDim, numHeads, numKvHeads, headDim } = resolveConfig({
    embedDim: given.embedDim,
    numHeads: given.numHeads,
    numKvHeads: given.numKvHeads,
    headDim: given.headDim,
  });
  if (ropeLike !== undefined && positions !== "rotary") throw refuse('rope: only with positions: "rotary"');
  if (positions === "rotary" && ropeLike?.dim === undefined && headDim % 2 !== 0)
    throw refuse(`positions: "rotary" needs an even headDim or rope.dim, got ${headDim}`);
  const heads = given.heads ?? Array<readonly number[]>(layers).fill(allHeads({ numHeads }));
  refuseOtherLength(heads, "heads (one array a layer)", layers);
  heads.forEach((ofLayer, n) => ofLayer.forEach((head) => checkInteger(head, `heads[${n}]`, 0, numHeads - 1)));
  return {
    ...given,
    vocabSize: given.vocabSize ?? 0,
    numKvHeads,
    headDim,
    contextLength: fitContext(all),
    feedForwardDim: given.feedForwardDim ?? 4 * embedDim,
    normEpsilon: given.normEpsilon ?? (norm === "layer" ? 1e-5 : 1e-6),
    normBias: given.normBias ?? norm === "layer",
    finalNorm: given.finalNorm ?? normPlacement !== "after",
    bias: fitBias(all),
    activation: given.activation === "swiglu" ? "silu-gated" : given.activation,
    gated: fitActivation(all),
    scale: given.scale ?? 1 / Math.sqrt(headDim),
    embeddingScale: given.embeddingScale ?? (positions === "sinusoidal" ? Math.sqrt(embedDim) : 1),
    layerOptions: fitLayers(all, headDim),
    ...fitReadout(all),
    heads: Object.freeze(heads),
    ...(positions === "rotary" && {
      rope: Object.freeze(
        fitRope(ropeLike ?? { base: undefined, dim: undefined, interleaved: false }, headDim, "rope."),
      ),
    }),
    ...(patches && { patches: Object.freeze(patches) }),
  };
}

/** The rotary embedding of a layer; none: it has none. */
export function ropeOf({ rope, layerOptions }: ResolvedTransformerConfig, layer: number) {
  const own = layerOptions[layer]!.rope;
  return own === undefined ? rope : own === false ? undefined : (own as NonNullable<typeof rope>);
}

/** The configuration of a layer's attention, with the heads that are left. */
export function attentionConfig(config: ResolvedTransformerConfig, layer: number): ResolvedConfig {
  const { embedDim, numHeads, numKvHeads, headDim, scale, softcap, queryKeyNorm, normEpsilon, seed, bias, dtype } =
    config;
  const rope = ropeOf(config, layer);
  const whole = resolveConfig({
    ...{ embedDim, numHeads, numKvHeads, headDim, scale, softcap, queryKeyNorm, normEpsilon, seed, dtype },
    bias: bias.qkv === bias.out ? bias.qkv : bias.qkv ? "qkv" : "out",
    alibi: config.positions === "alibi",
    ...(rope && { rope }),
  });
  return prunedConfig(whole, config.heads[layer]!);
}
