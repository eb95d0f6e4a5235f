/** Fewer key/value heads: each group of them becomes one, which all query heads of the group read. */
import { Matrix } from "ml-matrix";

import { checkInteger, invalidOption, oneOf } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import type { Tensor } from "../base/types.js";
import { counter } from "../heads/batches.js";
import { kvHeadsOf } from "../module/config.js";
import type { Instance } from "../runtime/instance.js";
import { attentionConfig, ropeOf } from "../transformer/config.js";
import { transformerParameters } from "../transformer/native_config.js";
import { copyParameters, handleOf } from "../transformer/raw_parameters.js";
import { checkTransformer, type Model } from "../transformer/transformer.js";
import type { GroupHeadsOptions, ResolvedTransformerConfig } from "../transformer/types.js";
import { alignHeads, type Freedom } from "./align_heads.js";
import { keyValueColumns } from "./model.js";
import { ParameterReader } from "./weights.js";

const optionTable = {
  method: withDefault(oneOf(["mean", "procrustes"]), "mean"),
} satisfies OptionTable<Pick<GroupHeadsOptions, "method">>;

const range = (first: number, end: number) => Array.from({ length: end - first }, (_, n) => first + n);

/** What a turn of the keys may mix: rotary embedding turns pairs by angles of their own. A norm of the keys allows no turn. */
function freedomOfKeys(config: ResolvedTransformerConfig, layer: number): Freedom | undefined {
  if (config.queryKeyNorm) return undefined;
  const { dim = 0, interleaved = false } = ropeOf(config, layer) ?? {};
  const pairs = range(0, dim / 2).map((n) =>
    interleaved ? ([2 * n, 2 * n + 1] as const) : ([n, n + dim / 2] as const),
  );
  return { pairs, others: range(dim, config.headDim) };
}

/** A projection by the elements of its heads: [D, E] each, with a column of biases where these elements have them. */
class Projection {
  heads: Matrix[];
  readonly #name: string;
  readonly #transposed: boolean;

  constructor(reader: ParameterReader, name: string, D: number, E: number) {
    this.#name = name;
    this.#transposed = name.endsWith("out_proj");
    const weight = Array.from(reader.get(`${name}.weight`));
    const rows = weight.length / E;
    const bias = this.#transposed ? undefined : reader.find(`${name}.bias`);
    const all = this.#transposed
      ? Matrix.from1DArray(E, rows, weight).transpose()
      : Matrix.from1DArray(rows, E, weight);
    if (bias) all.addColumn(Array.from(bias));
    this.heads = range(0, rows / D).map((h) => all.subMatrix(h * D, (h + 1) * D - 1, 0, all.columns - 1));
  }

  /** As parameters, by name. */
  parameters(E: number): Record<string, Tensor> {
    const all = new Matrix(this.heads.flatMap((head) => head.to2DArray()));
    const weight = all.subMatrix(0, all.rows - 1, 0, E - 1);
    const tensor = (matrix: Matrix, shape: number[]) => ({ data: Float32Array.from(matrix.to1DArray()), shape });
    return {
      [`${this.#name}.weight`]: this.#transposed
        ? tensor(weight.transpose(), [E, all.rows])
        : tensor(weight, [all.rows, E]),
      ...(all.columns > E && { [`${this.#name}.bias`]: tensor(all.subMatrixColumn([E]), [all.rows]) }),
    };
  }
}

const mean = (matrices: readonly Matrix[]) =>
  matrices.reduce((sum, each) => Matrix.add(sum, each)).div(matrices.length);

/**
 * Turns the heads of each group so that they agree as well as they can. The heads of `partner` that meet a head in a product turn with it,
 * so the model computes the same. `readBy`: of each query head, the key/value head that it reads.
 */
function turnHeads(
  projection: Projection,
  partner: Projection,
  groups: readonly (readonly number[])[],
  readBy: readonly number[],
  freedom: Freedom,
): void {
  for (const group of groups) {
    const ofGroup = group.map((head) => projection.heads[head]!);
    const turns = alignHeads(ofGroup, freedom).map((turn) => turn.transpose());
    for (const [place, head] of group.entries()) {
      const turn = turns[place]!;
      projection.heads[head] = turn.mmul(projection.heads[head]!);
      for (const [h, read] of readBy.entries()) {
        if (read === head) partner.heads[h] = turn.mmul(partner.heads[h]!);
      }
    }
  }
}

export function* groupHeads(
  instance: Instance,
  modelLike: unknown,
  groupsLike: unknown,
  optionsLike?: GroupHeadsOptions,
): LongWork<Model> {
  const { method } = readOptions(optionsLike, "groupHeads", optionTable);
  const given = checkTransformer(modelLike, instance);
  const { embedDim: E, headDim: D, numKvHeads, layers } = given.config;
  const groups = checkInteger(groupsLike, "groups", 1, numKvHeads);
  if (numKvHeads % groups !== 0)
    throw invalidOption("groups", `a number that divides the model's ${numKvHeads} key/value heads`, groups);
  const config = Object.freeze({ ...given.config, numKvHeads: groups });
  const model = given.empty(config);
  let done = false;
  try {
    const shapes = new Map(transformerParameters(config).map(({ name, shape }) => [name, String(shape)]));
    const same = transformerParameters(given.config).filter(({ name, shape }) => shapes.get(name) === String(shape));
    copyParameters(handleOf(given), handleOf(model), same, true);
    const reader = new ParameterReader(given);
    const step = counter(2 * layers);
    for (let n = 0; n < layers; ++n) {
      model.attention(n).setHeadGates(given.attention(n).headGates);
      const own = attentionConfig(given.config, n);
      const readBy = kvHeadsOf(own);
      const groupOf = keyValueColumns(given.config).of[n]!.map((head) => Math.floor((head * groups) / numKvHeads));
      const members = [...new Set(groupOf)].map((group) =>
        range(0, own.numKvHeads).filter((head) => groupOf[head] === group),
      );
      const anything = { pairs: [], others: range(0, D) };
      for (const [name, other, freedom] of [
        ["k_proj", "q_proj", freedomOfKeys(given.config, n)],
        ["v_proj", "out_proj", anything],
      ] as const) {
        const at = `layers.${n}.attention`;
        const projection = new Projection(reader, `${at}.${name}`, D, E);
        const written = [projection];
        if (method === "procrustes" && freedom !== undefined) {
          const partner = new Projection(reader, `${at}.${other}`, D, E);
          turnHeads(projection, partner, members, readBy, freedom);
          written.push(partner);
        }
        projection.heads = members.map((group) => mean(group.map((head) => projection.heads[head]!)));
        for (const each of written) model.setParameters(each.parameters(E));
        yield step();
      }
    }
    done = true;
    return model;
  } finally {
    if (!done) model.dispose();
  }
}
