import { invalidOption, show } from "../base/checks.js";
import { isObject } from "../base/kinds.js";
import { readOptions } from "../base/options.js";
import { layouts, layoutTable, tensorsOf, torchSeparate, transpose } from "./layouts.js";
import type { ExportParametersOptions, ModuleState, RemoteModule, StateDictLayout } from "./types.js";
import { resolveConfig } from "../module/config.js";
import { allocate, checkTensor, product, refuseOtherShape } from "../base/tensor.js";
import type { MultiHeadAttention, Parameters, ResolvedConfig } from "../module/types.js";

/** Refuses a module for which the layout has no place, or whose result the layout's library would not compute. */
function checkHolds(layout: StateDictLayout, config: ResolvedConfig, gates: Float32Array | undefined): void {
  const { embedDim, numHeads, numKvHeads, headDim, keyDim, valueDim, rope, bias } = config;
  const held: Partial<ResolvedConfig> = {
    numKvHeads: numHeads,
    headGroups: undefined,
    valueHeadDim: headDim,
    keyDim: embedDim,
    valueDim: embedDim,
    outputDim: embedDim,
    scale: 1 / Math.sqrt(headDim),
    softcap: 0,
    rope: undefined,
    alibi: false,
    ...(layout === "torch" && { keyDim, valueDim }),
    ...(layout === "llama" && { numKvHeads, rope: rope?.interleaved ? undefined : rope }), // Llama turns halves
  };
  const refuse = (name: string, expected: string, given: unknown) =>
    invalidOption(name, `${expected}, which is all that layout "${layout}" holds`, given);
  for (const name of Object.keys(held) as (keyof ResolvedConfig)[]) {
    const value = held[name];
    if (config[name] !== value) throw refuse(name, value === undefined ? "none" : show(value), config[name]);
  }
  const { bias: biases } = layouts[layout];
  if (!biases.includes(bias)) throw refuse("bias", biases.map(show).join(" or "), bias);
  const gate = gates?.find((value) => value !== 1);
  if (gate !== undefined) throw refuse("headGates", "gates of 1", gate);
}

function stateDict(
  config: ResolvedConfig,
  parameters: Parameters,
  gates: Float32Array | undefined,
  options: ExportParametersOptions,
): Parameters {
  const { layout: layoutName, prefix } = readOptions(options, "exportParameters", layoutTable);
  checkHolds(layoutName, config, gates);
  const isSeparate = config.keyDim !== config.embedDim || config.valueDim !== config.embedDim;
  const layout = isSeparate ? torchSeparate : layouts[layoutName];
  const tensors = tensorsOf(layout, config).map(({ name, parts, shape }) => {
    const data = new Float32Array(allocate(4 * product(shape)));
    let end = 0;
    for (const part of parts) {
      const given = checkTensor(parameters[part.name], part.name);
      refuseOtherShape(given, part.name, part.shape);
      data.set(given.data, end);
      end += given.data.length;
    }
    const turned = layout.transposed ? transpose(data, shape.at(-1)!) : data;
    return [prefix + name, { data: turned, shape }] as const;
  });
  return Object.fromEntries(tensors);
}

/**
 * The state dict of a module, or of a configuration and parameters; of a module of `headwise/worker` a promise for it. A
 * pruned module's is smaller. Throws `invalid-option` with the reason for what the layout cannot hold: grouped heads (but
 * for `"llama"`), Dv other than D, widths other than E (but for keys and values in `"torch"`), biases other than its own,
 * a scale other than 1 / sqrt(D), gates other than 1.
 */
export function exportParameters(
  module: MultiHeadAttention | ModuleState,
  options: ExportParametersOptions,
): Parameters;
export function exportParameters(module: RemoteModule, options: ExportParametersOptions): Promise<Parameters>;
export function exportParameters(
  module: MultiHeadAttention | RemoteModule | ModuleState,
  options: ExportParametersOptions,
): Parameters | Promise<Parameters> {
  if (!isObject(module) || !isObject(module.config) || !module.parameters)
    throw invalidOption("exportParameters", "a module or { config, parameters }", module);
  if (typeof module.parameters !== "function") {
    const { config, parameters } = module as ModuleState;
    return stateDict(resolveConfig(config), parameters, undefined, options);
  }
  if ("headGates" in module) {
    const local = module as MultiHeadAttention;
    return stateDict(local.config, local.parameters(), local.headGates, options);
  }
  const remote = module as RemoteModule;
  return Promise.all([remote.parameters(), remote.getHeadGates()]).then((state) =>
    stateDict(remote.config, ...state, options),
  );
}
