/** Copies parameters of modules and transformers out and in, by name. */
import { invalidOption, show } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { readMembers } from "../base/options.js";
import { checkTensor, refuseOtherShape } from "../base/tensor.js";
import type { Tensor, TensorLike } from "../base/types.js";
import type { Handle } from "../runtime/instance.js";
import type { Parameter } from "./config.js";
import type { Dtype, Parameters } from "./types.js";

/** @param get writes the parameter with an index to an address */
export function readParameters<N extends object>(
  handle: Handle<N>,
  parameters: readonly Parameter[],
  get: (native: N, index: number, to: number) => void,
): Parameters {
  const shapes = Object.fromEntries(parameters.map(({ name, shape }) => [name, shape]));
  return handle.call({}, shapes, (native, staged) => {
    for (const { name, index } of parameters) get(native, index, staged.pointers[name]!);
    return staged.results(...Object.keys(shapes)) as Parameters;
  });
}

/** int8 has no infinity and no NaN. */
export function refuseNotFinite({ data }: { data: Float32Array }, name: string): void {
  const wrong = data.find((value) => !Number.isFinite(value));
  if (wrong !== undefined) throw invalidOption(name, "finite numbers, for int8", wrong);
}

/** Sets all given parameters or, if it throws, none. `set` reads the parameter with an index from an address. */
export function writeParameters<N extends object>(
  handle: Handle<N>,
  parameters: readonly Parameter[],
  values: Readonly<Record<string, TensorLike>>,
  dtype: Dtype,
  set: (native: N, index: number, from: number) => number,
): void {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const changes: Record<string, Tensor> = {};
  readMembers(values, "parameters", "an object of tensors by name").forEach((value, name) => {
    const parameter = byName.get(name);
    if (parameter === undefined) {
      const names = [...byName.keys()].join(", ");
      throw new HeadwiseError("invalid-option", `parameters: unknown name ${show(name)}; there are ${names}`);
    }
    changes[name] = checkTensor(value, name);
    refuseOtherShape(changes[name], name, parameter.shape);
    if (dtype === "int8") refuseNotFinite(changes[name], name);
  });
  handle.call(changes, {}, (native, staged) => {
    for (const name of Object.keys(changes)) staged.check(set(native, byName.get(name)!.index, staged.pointers[name]!));
  });
}
