/** Parameters of a model, as much of them as an analysis needs. */
import type { Handle } from "../runtime/instance.js";
import type { NativeModel } from "../runtime/native.js";
import { kvHeadsOf, type Parameter } from "../module/config.js";
import { product } from "../base/tensor.js";
import { transformerParameters } from "../transformer/native_config.js";
import { handleOf } from "../transformer/raw_parameters.js";
import type { Model } from "../transformer/transformer.js";
import { attentionConfig } from "../transformer/config.js";

/** The core's matrices are packed in tiles of so many rows, which no part may split. */
const tileRows = 8;

/** Reads parameters of a model by name. */
export class ParameterReader {
  readonly #handle: Handle<NativeModel>;
  readonly #parameters: ReadonlyMap<string, Parameter>;

  constructor(model: Model) {
    this.#handle = handleOf(model);
    this.#parameters = new Map(transformerParameters(model.config).map((parameter) => [parameter.name, parameter]));
  }

  has(name: string): boolean {
    return this.#parameters.has(name);
  }

  /** A copy; undefined if the model has no such parameter. */
  find(name: string): Float32Array | undefined {
    const parameter = this.#parameters.get(name);
    return parameter && this.#part(parameter, 0, product(parameter.shape));
  }

  get(name: string): Float32Array {
    return this.find(name)!;
  }

  /** One row of a matrix. */
  row(name: string, row: number): Float32Array {
    const first = row - (row % tileRows);
    const width = this.#parameters.get(name)!.shape[1]!;
    return this.rows(name, first, tileRows).slice((row - first) * width, (row - first + 1) * width);
  }

  /** Rows of a matrix, `first` a multiple of 8; fewer than `count` at its end. */
  rows(name: string, first: number, count: number): Float32Array {
    const parameter = this.#parameters.get(name)!;
    const [rows, width] = parameter.shape as [number, number];
    return this.#part(parameter, first * width, Math.min(count, rows - first) * width);
  }

  #part({ index }: Parameter, first: number, count: number): Float32Array {
    return this.#handle.call({}, { part: [count] }, (native, staged) => {
      native.getParameterPart(index, first, count, staged.pointers.part);
      return staged.results("part").part.data;
    });
  }
}

export function dot(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let sum = 0;
  for (let n = 0; n < x.length; ++n) sum += x[n]! * y[n]!;
  return sum;
}

/** The matrix that makes logits: [V, E]. */
export const outputMatrix = ({ config }: Model) => (config.tieEmbeddings ? "embedding.weight" : "head.weight");

/** Of one head, each [D, E]: row d is what element d reads of the residual stream (q, k, v) or writes to it (o). */
export interface HeadMatrices {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly o: Float32Array;
  /** `[D]`: the bias of the values, with what the bias of the norm before them gives. */
  readonly valueBias: Float32Array | undefined;
}

/** The matrices of the heads of a layer, in the model's current order. */
export function layerMatrices(model: Model, layer: number, reader = new ParameterReader(model)): HeadMatrices[] {
  const { config } = model;
  const { embedDim: E, headDim: D } = config;
  const own = attentionConfig(config, layer);
  const { numHeads } = own;
  const kvHeads = kvHeadsOf(own);
  const name = `layers.${layer}.attention`;
  const [query, key, value] = ["q", "k", "v"].map((each) => reader.get(`${name}.${each}_proj.weight`));
  const out = reader.get(`${name}.out_proj.weight`);
  const bias = reader.find(`${name}.v_proj.bias`);
  const normBias = config.normPlacement === "after" ? undefined : reader.find(`layers.${layer}.norm1.bias`);
  return Array.from({ length: numHeads }, (_, h) => {
    const g = kvHeads[h]!;
    const part = (matrix: Float32Array, head: number) => matrix.subarray(head * D * E, (head + 1) * D * E);
    const o = new Float32Array(D * E);
    for (let e = 0; e < E; ++e) for (let d = 0; d < D; ++d) o[d * E + e] = out[(e * numHeads + h) * D + d]!;
    const v = part(value!, g);
    const valueBias = (bias ?? normBias) && new Float32Array(D);
    for (let d = 0; valueBias !== undefined && d < D; ++d)
      valueBias[d] = (bias?.[g * D + d] ?? 0) + (normBias ? dot(v.subarray(d * E, (d + 1) * E), normBias) : 0);
    return { q: part(query!, h), k: part(key!, g), v, o, valueBias };
  });
}
