/** Opens a published model: configuration, then tensors one at a time straight into the core. */
import { invalidOption } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { product } from "../base/tensor.js";
import { openFiles } from "../files/model_files.js";
import { resolveSource } from "../files/sources.js";
import type { ModelFiles, ModelSource, Weights } from "../files/types.js";
import { readParameters } from "../module/parameters.js";
import { trained } from "../module/trained.js";
import type { Handle, Instance } from "../runtime/instance.js";
import type { NativeModel } from "../runtime/native.js";
import { resolveTransformerConfig } from "../transformer/config.js";
import { transformerParameters } from "../transformer/native_config.js";
import { emptyTransformer } from "../transformer/transformer.js";
import type { TransformerConfig } from "../transformer/types.js";
import { labelsOf } from "./architectures/config_file.js";
import { familyOf, type FoundFamily } from "./architectures/index.js";
import { matchTensors, prefixOf } from "./architectures/placements.js";
import { withLongTexts } from "./architectures/rope.js";
import type { InputReaders } from "./input_readers.js";
import { readSettings } from "./model_settings.js";
import { PublishedModel } from "./opened_model.js";
import { readInsideOptions, type InsideOptions } from "./open_options.js";
import { ParameterPlacer, type ParameterAccess } from "./place_parameters.js";
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

/** A parameter goes to the core in pieces of about so many floats, which need room there beside the model. */
const pieceFloats = 1 << 20;
/** The core's matrices are packed in tiles of so many rows, which no piece may split. */
const tileRows = 8;

/** Parameters by name: the file's may have other shapes than the model's, which may have fewer positions. */
function accessTo(model: PublishedModel): ParameterAccess {
  const own = new Map(transformerParameters(model.config).map((parameter) => [parameter.name, parameter]));
  const handle = trained.get(model)!.handle as Handle<NativeModel>;
  return {
    get({ name }) {
      return readParameters(handle, [own.get(name)!], (native, index, to) => native.getParameter(index, to))[name]!
        .data;
    },
    set({ name }, data) {
      const { index, shape } = own.get(name)!;
      const rows = tileRows * product(shape.slice(1));
      const most = Math.max(Math.floor(pieceFloats / rows), 1) * rows;
      for (let first = 0, count = product(shape); first < count; first += most) {
        const piece = data.subarray(first, Math.min(first + most, count));
        handle.call({ piece }, {}, (native, { pointers }) =>
          native.setParameterPart(index, first, piece.length, pointers.piece),
        );
      }
    },
  };
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
  const { tower, maxTokens, key, cache, signal, onProgress } = readInsideOptions(optionsLike);
  const files = openFiles(resolveSource(source), { cache, signal, onProgress });
  const found = familyOf(await files.json("config.json", true), tower);
  const [settings, readers] = await Promise.all([readSettings(files, found.config.values), readersOf?.(files) ?? {}]);
  const weights = await files.weights();
  let model: PublishedModel | undefined;
  try {
    const prefix = prefixOf(found.family, weights.tensors);
    const { ofFile, ofModel } = readConfig(found, weights, prefix, maxTokens);
    const labels = ofModel.labels > 0 ? Object.freeze(labelsOf(found.config)) : undefined;
    const published: Published = { ...found, settings, labels, prefix, tensors: weights.tensors, readers, key };
    const matched = matchTensors(found.family, found.name, placementsIn(published, ofFile), weights.tensors, prefix);
    instance.checkAlive();
    model = emptyTransformer(instance, ofModel, (native) => new PublishedModel(instance, native, ofModel, published));
    const placer = new ParameterPlacer(ofFile, accessTo(model));
    for await (const tensor of weights.stream()) {
      const placement = matched.get(tensor.name);
      if (placement !== undefined) placer.place(tensor.name, placement, await tensor.floats());
    }
    return model;
  } catch (error) {
    model?.dispose();
    throw error;
  } finally {
    weights.close();
  }
}
