/** Opens a published model: configuration, then tensors one at a time straight into the core. */
import { invalidOption, show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { openFiles } from "../files/model_files.js";
import { resolveSource } from "../files/sources.js";
import { arrayOf, scaleName } from "../files/safetensors.js";
import type { ModelFiles, ModelSource, StreamedTensor, Weights } from "../files/types.js";
import { readParameters } from "../module/parameters.js";
import type { Dtype } from "../module/types.js";
import type { Instance } from "../runtime/instance.js";
import { resolveTransformerConfig } from "../transformer/config.js";
import { isMatrix, transformerParameters } from "../transformer/native_config.js";
import { handleOf, setFloats, setRaw } from "../transformer/raw_parameters.js";
import { emptyTransformer } from "../transformer/transformer.js";
import type { TransformerConfig } from "../transformer/types.js";
import { labelsOf } from "./architectures/config_file.js";
import { familyOf, type FoundFamily } from "./architectures/index.js";
import { matchTensors, prefixOf, type Placement } from "./architectures/placements.js";
import { withLongTexts } from "./architectures/rope.js";
import type { InputReaders } from "./input_readers.js";
import { readSettings } from "./model_settings.js";
import { PublishedModel } from "./opened_model.js";
import { readInsideOptions, type InsideOptions } from "./open_options.js";
import { floatsOf, ParameterPlacer, type Given, type ParameterAccess } from "./place_parameters.js";
import { prunedKeys, readPruned } from "./pruned_heads.js";
import { placementsIn, type Published } from "./published.js";
import { mostTokens } from "./text.js";

/** What is wrong with a configuration is wrong with its file. */
function resolved(config: TransformerConfig) {
  try {
    return resolveTransformerConfig(config);
  } catch (error) {
    if (!(error instanceof HeadwiseError)) throw error;
    throw new HeadwiseError("invalid-file", `config.json: ${error.message}`, { cause: error });
  }
}

/** Configurations of the file as it is, and of the model, which may have fewer positions. */
function readConfig(
  { family, config: file }: FoundFamily,
  weights: Weights,
  prefix: string,
  maxTokens: number | undefined,
) {
  const has = (name: string) => weights.tensors.has(name) || weights.tensors.has(prefix + name);
  const config = withLongTexts(family.config(file, { has }));
  file.ignore(prunedKeys);
  file.finish();
  const whole = resolved(config);
  const heads = readPruned(file.values, whole.layers, whole.numHeads);
  const ofFile = heads === undefined ? whole : resolved({ ...config, heads });
  if (maxTokens === undefined) return { ofFile, ofModel: ofFile };
  const { contextLength, patches } = whole;
  const most = mostTokens(whole);
  if (patches !== undefined || maxTokens > most)
    throw invalidOption("maxTokens", patches ? "none, of images" : `at most ${most}`, maxTokens);
  return { ofFile, ofModel: resolved({ ...config, heads, contextLength: contextLength - most + maxTokens }) };
}

/** Parameters by name: the file's may have other shapes than the model's, which may have fewer positions. */
function accessTo(model: PublishedModel): ParameterAccess {
  const own = new Map(transformerParameters(model.config).map((parameter) => [parameter.name, parameter]));
  const handle = handleOf(model);
  const { dtype } = model.config;
  return {
    get({ name }) {
      return readParameters(handle, [own.get(name)!], (native, index, to) => native.getParameter(index, to))[name]!
        .data;
    },
    set({ name }, given) {
      const parameter = own.get(name)!;
      const { data, scales } = given;
      const asItIs =
        (data instanceof Uint16Array && dtype === "bf16") || (data instanceof Int8Array && dtype === "int8");
      if (asItIs && isMatrix(parameter)) setRaw(handle, parameter, data, scales);
      else setFloats(handle, parameter, floatsOf(given));
    },
  };
}

/** Tensors in the numbers of the file, as far as the core has such: BF16 stays BF16, and int8 comes with its scales. */
class TensorReader {
  readonly #scales = new Map<string, Float32Array>();

  /** Undefined of scales, which are kept for their matrix. They come before it: safetensors files have wider types first. */
  async read(tensor: StreamedTensor, placement: Placement | undefined): Promise<Given | undefined> {
    if (placement === undefined) {
      if (tensor.name.endsWith(scaleName(""))) this.#scales.set(tensor.name, (await tensor.floats()).slice());
      return undefined;
    }
    const computes = placement.form.computes === true;
    if (tensor.dtype === "BF16" && !computes) return { data: arrayOf(Uint16Array, await tensor.bytes()) };
    if (tensor.dtype !== "I8") return { data: await tensor.floats() };
    const scales = this.#scales.get(scaleName(tensor.name));
    if (scales === undefined) {
      const message = `${tensor.file}: tensor ${show(tensor.name)} comes before its scales`;
      throw new HeadwiseError("invalid-file", message);
    }
    const given = { data: arrayOf(Int8Array, await tensor.bytes()), scales };
    return computes ? { data: floatsOf(given) } : given;
  }
}

/** "auto": as the file has its matrices, where the model has the same: factors that are multiplied into them make others. */
function dtypeOf(asked: "auto" | Dtype, matched: ReadonlyMap<string, Placement>, { tensors }: Weights): Dtype {
  if (asked !== "auto") return asked;
  const placed = [...matched];
  const types = placed.flatMap(([name, { parameters }]) =>
    parameters.some(isMatrix) ? [tensors.get(name)!.dtype] : [],
  );
  if (types.includes("I8")) return "int8";
  const folded = placed.some(([, { form }]) => form.isScale);
  return !folded && types.length > 0 && types.every((type) => type === "BF16") ? "bf16" : "f32";
}

export type ReadersOf = (files: ModelFiles) => Promise<InputReaders>;

/** @param readersOf opens what turns text and images into what the model reads, where that is done on this thread */
export async function openModel(
  instance: Instance,
  source: ModelSource,
  optionsLike?: InsideOptions,
  readersOf?: ReadersOf,
): Promise<PublishedModel> {
  instance.checkAlive();
  const { dtype: asked, tower, maxTokens, key, cache, signal, onProgress } = readInsideOptions(optionsLike);
  const files = openFiles(resolveSource(source), { cache, signal, onProgress });
  const found = familyOf(await files.json("config.json", true), tower);
  const [settings, readers] = await Promise.all([readSettings(files, found.config.values), readersOf?.(files) ?? {}]);
  const weights = await files.weights();
  let model: PublishedModel | undefined;
  try {
    const prefix = prefixOf(found.family, weights.tensors);
    const { ofFile, ofModel: asFloats } = readConfig(found, weights, prefix, maxTokens);
    const labels = asFloats.labels > 0 ? Object.freeze(labelsOf(found.config)) : undefined;
    const published: Published = { ...found, settings, labels, prefix, tensors: weights.tensors, readers, key };
    const matched = matchTensors(found.family, found.name, placementsIn(published, ofFile), weights.tensors, prefix);
    const ofModel = { ...asFloats, dtype: dtypeOf(asked, matched, weights) };
    instance.checkAlive();
    model = emptyTransformer(instance, ofModel, (native) => new PublishedModel(instance, native, ofModel, published));
    const copies = [...matched.values()].filter(({ isCopy }) => isCopy);
    const shared = new Set(copies.flatMap(({ parameters }) => parameters));
    const placer = new ParameterPlacer(ofFile, accessTo(model), shared);
    const reader = new TensorReader();
    for await (const tensor of weights.stream()) {
      const placement = matched.get(tensor.name);
      const given = await reader.read(tensor, placement);
      if (given !== undefined) placer.place(tensor.name, placement!, given);
    }
    return model;
  } catch (error) {
    model?.dispose();
    throw error;
  } finally {
    weights.close();
  }
}
