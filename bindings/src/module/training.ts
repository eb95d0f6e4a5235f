/** Training of a module: the options of its forward pass, and its backward pass. */
import { checkBoolean, checkInteger, checkOptions, invalidOption } from "../base/checks.js";
import { HeadwiseError } from "../base/errors.js";
import { Staging, type Instance } from "../runtime/instance.js";
import type { NativeModule } from "../runtime/native.js";
import { checkTensor, product, refuseOtherShape } from "../base/tensor.js";
import type { BackwardOptions, ForwardOptions, InputGradients } from "./types.js";
import type { TensorLike } from "../base/types.js";

/** Shapes of a forward pass with `train`; the numbers are in the core. */
export interface Tape {
  readonly output: readonly number[];
  readonly weights: readonly number[];
  readonly inputs: readonly (readonly number[])[];
}

const largestRate = 1 - 2 ** -24; // of float32

/** What forward's options say of training; undefined: there is none. */
export function checkTraining({ train, dropout, seed, cache }: Partial<ForwardOptions>) {
  if (train === undefined || !checkBoolean(train, "train")) {
    const name = dropout !== undefined ? "dropout" : seed !== undefined ? "seed" : undefined;
    if (name !== undefined) throw new HeadwiseError("invalid-option", `${name}: only with train: true`);
    return undefined;
  }
  if (cache !== undefined) throw new HeadwiseError("invalid-option", "train: not with a cache");
  if (dropout !== undefined && !(typeof dropout === "number" && dropout >= 0 && dropout < 1))
    throw invalidOption("dropout", "a number >= 0 and < 1", dropout);
  if (seed !== undefined) checkInteger(seed, "seed", 0, 2 ** 32 - 1);
  return { dropout: Math.min(dropout ?? 0, largestRate), seed };
}

/** Adds to the module's gradients. Nothing has happened when it throws. */
export function backward(
  instance: Instance,
  native: NativeModule,
  tape: Tape | undefined,
  gradOutputLike: TensorLike,
  optionsLike: BackwardOptions | undefined,
): InputGradients {
  const staging = new Staging(instance);
  const gradOutput = checkTensor(gradOutputLike, "gradOutput");
  const { gradWeights } = checkOptions(optionsLike, "backward", ["gradWeights"]);
  if (tape === undefined) {
    throw new HeadwiseError(
      "invalid-option",
      "backward: expected a forward with train: true before it; each is good for one, until parameters or gates are set",
    );
  }
  refuseOtherShape(gradOutput, "gradOutput", tape.output);
  const output = staging.tensor(gradOutput);
  const weightsTensor = gradWeights && checkTensor(gradWeights, "gradWeights");
  if (weightsTensor) refuseOtherShape(weightsTensor, "gradWeights", tape.weights);
  const weights = weightsTensor && staging.tensor(weightsTensor);
  const inputs = tape.inputs.map((shape) => staging.output(product(shape)));
  staging.place();
  const [query, key, value] = inputs.map((slot) => staging.pointer(slot)) as [number, number, number];
  staging.check(native.backward(staging.pointer(output), staging.pointer(weights), query, key, value));
  const [ofQuery, ofKey, ofValue] = inputs.map((slot, n) => ({
    data: staging.read(slot),
    shape: [...tape.inputs[n]!],
  }));
  return { query: ofQuery!, key: ofKey!, value: ofValue! };
}
