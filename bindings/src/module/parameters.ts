/** Parameters of modules and transformers, copied out and in by name. */
import { invalidOption, show, typeTag } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { Staging, type Instance } from "../runtime/instance.js";
import type { Parameter } from "./config.js";
import { checkTensor, product, refuseOtherShape } from "../base/tensor.js";
import type { Parameters } from "./types.js";
import type { TensorLike } from "../base/types.js";

/** @param get writes the parameter of that index to an address */
export function readParameters(
  instance: Instance,
  parameters: readonly Parameter[],
  get: (index: number, to: number) => void,
): Parameters {
  const staging = new Staging(instance);
  const slots = parameters.map(({ shape }) => staging.output(product(shape)));
  staging.place();
  return Object.fromEntries(
    parameters.map(({ name, index, shape }, n) => {
      get(index, staging.pointer(slots[n]));
      return [name, { data: staging.read(slots[n]!), shape: [...shape] }];
    }),
  );
}

/** All of them or none. `set` reads the parameter of that index from an address. */
export function writeParameters(
  instance: Instance,
  parameters: readonly Parameter[],
  values: Readonly<Record<string, TensorLike>>,
  set: (index: number, from: number) => void,
): void {
  const staging = new Staging(instance);
  if (typeTag(values) !== "Object") throw invalidOption("parameters", "an object of tensors by name", values);
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const changes = Object.entries(values).map(([name, value]) => {
    const parameter = byName.get(name);
    if (parameter === undefined) {
      const names = parameters.map((known) => known.name).join(", ");
      throw new HeadwiseError("invalid-option", `parameters: unknown name ${show(name)}; there are ${names}`);
    }
    const given = checkTensor(value, name);
    refuseOtherShape(given, name, parameter.shape);
    return { index: parameter.index, slot: staging.tensor(given) };
  });
  staging.place();
  for (const { index, slot } of changes) set(index, staging.pointer(slot));
}
