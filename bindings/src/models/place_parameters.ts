/** Puts a file's tensors into a model, one at a time as they come. */
import { show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import type { Parameter } from "../module/config.js";
import type { ResolvedTransformerConfig } from "../transformer/types.js";
import type { Placement } from "./architectures/placements.js";

/** A model's parameters, one at a time. */
export interface ParameterAccess {
  get(parameter: Parameter): Float32Array;
  set(parameter: Parameter, data: Float32Array): void;
}

const sameBits = (one: Float32Array, other: Float32Array) => {
  const [a, b] = [one, other].map(({ buffer, byteOffset, length }) => new Uint32Array(buffer, byteOffset, length));
  return a!.every((word, n) => word === b![n]);
};

/** Multiplies each output's row by its factor. */
function scaleRows(data: Float32Array, factors: Float32Array): Float32Array {
  const columns = data.length / factors.length;
  return data.map((value, n) => value * factors[Math.floor(n / columns)]!);
}

export class ParameterPlacer {
  readonly #config: ResolvedTransformerConfig;
  readonly #access: ParameterAccess;
  readonly #set = new Set<Parameter>();
  /** Of parameters that have not come yet. */
  readonly #factors = new Map<Parameter, Float32Array>();

  constructor(config: ResolvedTransformerConfig, access: ParameterAccess) {
    this.#config = config;
    this.#access = access;
  }

  /** `data` may be gone afterwards. `name`: of the tensor, for messages. */
  place(name: string, { parameters, form }: Placement, data: Float32Array): void {
    if (form.isScale) {
      for (const parameter of parameters) this.#scale(parameter, data);
      return;
    }
    const shapes = parameters.map(({ shape }) => shape);
    const parts = form.read(data, shapes, this.#config);
    parameters.forEach((parameter, n) => this.#place(name, parameter, parts[n]!));
  }

  #place(name: string, parameter: Parameter, data: Float32Array): void {
    if (!this.#set.has(parameter)) {
      const factors = this.#factors.get(parameter);
      this.#factors.delete(parameter);
      this.#access.set(parameter, factors === undefined ? data : scaleRows(data, factors));
      this.#set.add(parameter);
    } else if (!sameBits(this.#access.get(parameter), data)) {
      const message = `tensor ${show(name)} is tied to another tensor of the file, which differs from it`;
      throw new HeadwiseError("unsupported", message);
    }
  }

  #scale(parameter: Parameter, factors: Float32Array): void {
    if (this.#set.has(parameter)) this.#access.set(parameter, scaleRows(this.#access.get(parameter), factors));
    else this.#factors.set(parameter, factors.slice());
  }
}

/** The tensors of a model by the family's names. */
export function tensorsOfModel(
  placements: readonly Placement[],
  config: ResolvedTransformerConfig,
  parameters: Readonly<Record<string, { readonly data: Float32Array }>>,
): Record<string, { data: Float32Array; shape: readonly number[] }> {
  const tensors = placements
    .filter(({ isCopy }) => !isCopy)
    .map(({ name, shape, parameters: held, form }) => {
      const data = held.map((parameter) => parameters[parameter.name]!.data);
      const shapes = held.map((parameter) => parameter.shape);
      return [name, { data: form.write(data, shapes, config), shape }] as const;
    });
  return Object.fromEntries(tensors);
}
