/** Where each tensor of a file goes: from a family's table and a configuration. */
import { show } from "../../base/checks.js";
import { HeadwiseError } from "../../base/errors.js";
import { sameShape } from "../../base/tensor.js";
import { scaleName } from "../../files/safetensors.js";
import type { Weights } from "../../files/types.js";
import type { Parameter } from "../../module/config.js";
import { transformerParameters } from "../../transformer/native_config.js";
import type { ResolvedTransformerConfig } from "../../transformer/types.js";
import type { Family, TensorTable } from "./family.js";
import { plain, type Form } from "./forms.js";

/** A tensor that holds parameters. */
export interface Placement {
  /** As the family calls it, with its prefix. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly parameters: readonly Parameter[];
  readonly form: Form;
  /** Another tensor holds the same: this one may be there, and must then be equal. */
  readonly isCopy: boolean;
}

type TensorInfos = Weights["tensors"];

/** A pattern with N as the names of all layers. */
const inLayers = (pattern: string, layers: number): readonly (readonly [string, (name: string) => string])[] =>
  /(^|\.)N(\.|$)/.test(pattern)
    ? Array.from({ length: layers }, (_, n) => {
        const numbered = (name: string) => name.replace(/(^|\.)N(?=\.|$)/g, `$1${n}`);
        return [numbered(pattern), numbered] as const;
      })
    : [[pattern, (name: string) => name]];

/** "a.{q,k}_b" as "a.q_b" and "a.k_b". */
function alternatives(pattern: string): string[] {
  const [, before, names, after] = /^(.*)\{(.*)\}(.*)$/.exec(pattern) ?? [];
  return names === undefined ? [pattern] : names.split(",").map((name) => before! + name + after!);
}

/** What stands before the names of the family's tensors in a file: nothing in a bare model's. */
export function prefixOf(family: Family, tensors: TensorInfos): string {
  return [...tensors.keys()].some((name) => name.startsWith(family.prefix)) ? family.prefix : "";
}

/**
 * All tensors that a file of this configuration has, or may have. `isPresent`: whether a name is in the file; of two that
 * hold the same parameter the one that is.
 */
export function placementsOf(
  family: Family,
  config: ResolvedTransformerConfig,
  prefix: string,
  isPresent: (name: string) => boolean,
): Placement[] {
  const ours = new Map(transformerParameters(config).map((parameter) => [parameter.name, parameter]));
  const find = (name: string) => ours.get(name === "head.weight" && config.tieEmbeddings ? "embedding.weight" : name);
  const place = (table: TensorTable, before: string): Placement[] =>
    Object.entries(table).flatMap(([pattern, entry]) => {
      const { parameters: targets, form } = typeof entry === "string" ? plain(entry) : entry;
      return inLayers(pattern, config.layers).flatMap(([name, numbered]) =>
        ["", ".weight", ".bias"].flatMap((suffix) => {
          const parameters = alternatives(targets).map((target) => find(numbered(target) + suffix));
          if (!parameters.every((parameter) => parameter !== undefined)) return [];
          const shape = form.shape(
            parameters.map((parameter) => parameter.shape),
            config,
          );
          return { name: before + name + suffix, shape, parameters, form, isCopy: false };
        }),
      );
    });
  const all = [...place(family.tensors, prefix), ...[family.heads ?? []].flat().flatMap((table) => place(table, ""))];
  const first = new Map<Parameter, Placement>(); // what holds a parameter
  for (const placement of all.filter(({ form }) => !form.isScale)) {
    const [parameter] = placement.parameters as [Parameter];
    const other = first.get(parameter);
    if (other === undefined || (!isPresent(other.name) && isPresent(placement.name))) first.set(parameter, placement);
  }
  const placements = all.map((placement) => ({
    ...placement,
    isCopy: !placement.form.isScale && first.get(placement.parameters[0]!) !== placement,
  }));
  const held = new Set(all.flatMap(({ parameters }) => parameters));
  const left = [...ours.values()].find((parameter) => !held.has(parameter));
  if (left !== undefined) throw new Error(`the family's table has no tensor for ${left.name}`);
  return placements;
}

/** The name of the int8 tensor whose scales a tensor is; undefined of others. */
const scaled = (name: string, tensors: TensorInfos) => {
  const matrix = name.endsWith("_scale") ? name.slice(0, -"_scale".length) : undefined;
  return matrix !== undefined && tensors.get(matrix)?.dtype === "I8" ? matrix : undefined;
};

/** The names that files had before transformers 1.0. */
const today = (name: string) =>
  name.replace(/LayerNorm\.gamma$/, "LayerNorm.weight").replace(/LayerNorm\.beta$/, "LayerNorm.bias");

/** An int8 tensor has scales, of its outputs, which are one of its axes. */
function checkScales(name: string, shape: readonly number[], tensors: TensorInfos): void {
  const scales = tensors.get(scaleName(name));
  if (scales?.dtype === "F32" && scales.shape.length === 1 && shape.includes(scales.shape[0]!)) return;
  const { file } = tensors.get(name)!;
  const message = `${file}: tensor ${show(name)} is int8, and ${show(scaleName(name))} is not there as F32 of its outputs`;
  throw new HeadwiseError("invalid-file", message);
}

/**
 * What each of a file's tensors is for; of those that hold no parameters there is nothing. Throws `unsupported` for a
 * tensor that the family does not know, `invalid-file` for one that is missing or of another shape.
 */
export function matchTensors(
  family: Family,
  name: string,
  placements: readonly Placement[],
  tensors: TensorInfos,
  prefix: string,
): Map<string, Placement> {
  const byName = new Map(placements.map((placement) => [placement.name, placement]));
  const matched = new Map<string, Placement>();
  for (const [given, { dtype, shape, file }] of tensors) {
    if (scaled(given, tensors) !== undefined) continue;
    if (dtype === "I8") checkScales(given, shape, tensors);
    const placement = byName.get(today(given));
    if (placement === undefined || placement.isCopy) {
      const bare = given.startsWith(prefix) ? given.slice(prefix.length) : given;
      if (family.others?.test(bare)) continue;
    }
    if (placement === undefined) {
      throw new HeadwiseError("unsupported", `${name}: tensor ${show(given)} is not supported (${file})`);
    }
    if (!sameShape(shape, placement.shape)) {
      const [expected, got] = [placement.shape, shape].map((extents) => `[${extents.join(", ")}]`);
      throw new HeadwiseError("invalid-file", `${file}: tensor ${show(given)}: expected shape ${expected}, got ${got}`);
    }
    byName.delete(placement.name);
    matched.set(given, placement);
  }
  const missing = [...byName.values()].find(({ isCopy }) => !isCopy);
  if (missing !== undefined) {
    const [file] = [...tensors.values()].map((info) => info.file);
    throw new HeadwiseError("invalid-file", `${file}: tensor ${show(missing.name)} is missing, and ${name} needs it`);
  }
  return matched;
}
