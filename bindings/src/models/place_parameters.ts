/** Puts a file's tensors into a model, one at a time as they come. */
import { show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { scaleName, type TensorToWrite } from "../files/safetensors.js";
import { halfFloats, widen } from "../files/half_floats.js";
import type { Parameter } from "../module/config.js";
import type { Numbers } from "../transformer/raw_parameters.js";
import type { ResolvedTransformerConfig } from "../transformer/types.js";
import type { Placement } from "./architectures/placements.js";

/** What a tensor has for a parameter: floats, the bits of BF16, or int8 with a scale for each output. */
export interface Given {
  readonly data: Numbers;
  readonly scales?: Float32Array | undefined;
}

/** A model's parameters, one at a time. */
export interface ParameterAccess {
  get(parameter: Parameter): Float32Array;
  set(parameter: Parameter, given: Given): void;
}

/** As floats. */
export function floatsOf({ data, scales }: Given): Float32Array {
  if (data instanceof Float32Array) return data;
  if (data instanceof Uint16Array) return widen(data, halfFloats.BF16);
  return scaleRows(Float32Array.from(data), scales!);
}

/** A sum of the bits that two different arrays hardly share: the core may keep other numbers than the file's. */
function checksum({ buffer, byteOffset, length }: Float32Array): string {
  let [one, other] = [1, 2];
  for (const word of new Uint32Array(buffer, byteOffset, length)) {
    one = Math.imul(one ^ word, 0x9e3779b1);
    one ^= one >>> 15;
    other = Math.imul(other + word, 0x85ebca77) ^ (other >>> 13);
  }
  return `${one} ${other}`;
}

/** Multiplies each output's row by its factor. */
function scaleRows(data: Float32Array, factors: Float32Array): Float32Array {
  const columns = data.length / factors.length;
  return data.map((value, n) => value * factors[Math.floor(n / columns)]!);
}

export class ParameterPlacer {
  readonly #config: ResolvedTransformerConfig;
  readonly #access: ParameterAccess;
  readonly #shared: ReadonlySet<Parameter>;
  /** Of what has been set, and shared parameters' checksums. */
  readonly #set = new Map<Parameter, string | undefined>();
  /** Of parameters that have not come yet. */
  readonly #factors = new Map<Parameter, Float32Array>();

  /** @param shared parameters that are in the file more than once */
  constructor(config: ResolvedTransformerConfig, access: ParameterAccess, shared: ReadonlySet<Parameter>) {
    this.#config = config;
    this.#access = access;
    this.#shared = shared;
  }

  /** What is given may be gone afterwards. `name`: of the tensor, for messages. */
  place(name: string, { parameters, form }: Placement, { data, scales }: Given): void {
    if (form.isScale) {
      for (const parameter of parameters) this.#scale(parameter, data as Float32Array);
      return;
    }
    const shapes = parameters.map(({ shape }) => shape);
    const parts = form.read(data, shapes, this.#config);
    const outputs = shapes.map(([rows]) => [rows!]);
    const partsOfScales = scales && form.read(scales, outputs, this.#config);
    parameters.forEach((parameter, n) => this.#place(name, parameter, { data: parts[n]!, scales: partsOfScales?.[n] }));
  }

  #place(name: string, parameter: Parameter, given: Given): void {
    if (!this.#set.has(parameter)) {
      const factors = this.#factors.get(parameter);
      this.#factors.delete(parameter);
      this.#access.set(parameter, factors === undefined ? given : { data: scaleRows(floatsOf(given), factors) });
      this.#set.set(parameter, this.#shared.has(parameter) ? checksum(floatsOf(given)) : undefined);
    } else if (this.#set.get(parameter) !== checksum(floatsOf(given))) {
      const message = `tensor ${show(name)} is tied to another tensor of the file, which differs from it`;
      throw new HeadwiseError("unsupported", message);
    }
  }

  #scale(parameter: Parameter, factors: Float32Array): void {
    if (this.#set.has(parameter))
      this.#access.set(parameter, { data: scaleRows(this.#access.get(parameter), factors) });
    else this.#factors.set(parameter, factors.slice());
  }
}

/** The tensors of a model by the family's names: int8 with scales where a parameter has them. */
export function tensorsOfModel(
  placements: readonly Placement[],
  config: ResolvedTransformerConfig,
  parameters: (parameter: Parameter) => { data: Float32Array | Int8Array; scales?: Float32Array },
): TensorToWrite[] {
  return placements
    .filter(({ isCopy }) => !isCopy)
    .flatMap(({ name, shape, parameters: held, form }) => {
      const given = held.map(parameters);
      const shapes = held.map((parameter) => parameter.shape);
      const data = given.map((each) => (form.computes ? floatsOf(each) : each.data));
      const tensor = { name, data: form.write(data, shapes, config), shape };
      if (!(tensor.data instanceof Int8Array)) return tensor;
      const outputs = shapes.map(([rows]) => [rows!]);
      const scales = form.write(
        given.map((each) => each.scales!),
        outputs,
        config,
      );
      return [{ name: scaleName(name), data: scales, shape: [scales.length] }, tensor];
    });
}
