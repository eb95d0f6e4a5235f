/** Training of a module: the training options of its forward pass, and its backward pass. */
import { HeadwiseError } from "../base/errors.js";
import { optional, readOptions, type OptionTable } from "../base/options.js";
import { checkTensor, refuseOtherShape } from "../base/tensor.js";
import type { TensorLike } from "../base/types.js";
import type { Handle } from "../runtime/instance.js";
import type { NativeModule } from "../runtime/native.js";
import type { BackwardOptions, ForwardOptions, InputGradients } from "./types.js";

/** Shapes of a forward pass with `train`. The core has the data. */
export interface Tape {
  readonly output: readonly number[];
  readonly weights: readonly number[];
  readonly inputs: Readonly<Record<"query" | "key" | "value", readonly number[]>>;
}

const largestRate = 1 - 2 ** -24; // of float32

/** The training options of forward; undefined without `train`. */
export function fitTraining({
  train,
  dropout,
  seed,
  cache,
}: Pick<ForwardOptions, "train" | "dropout" | "seed" | "cache">) {
  if (!train) {
    const name = dropout !== undefined ? "dropout" : seed !== undefined ? "seed" : undefined;
    if (name !== undefined) throw new HeadwiseError("invalid-option", `${name}: only with train: true`);
    return undefined;
  }
  if (cache !== undefined) throw new HeadwiseError("invalid-option", "train: not with a cache");
  return { dropout: Math.min(dropout ?? 0, largestRate), seed };
}

const optionTable = { gradWeights: optional(checkTensor) } satisfies OptionTable<BackwardOptions>;

/** Adds to the module's gradients. Changes nothing if it throws. `takeTape`: the tape of the last forward with `train`. */
export function backward(
  handle: Handle<NativeModule>,
  takeTape: () => Tape | undefined,
  gradOutputLike: TensorLike,
  optionsLike: BackwardOptions | undefined,
): InputGradients {
  const gradOutput = checkTensor(gradOutputLike, "gradOutput");
  const { gradWeights } = readOptions(optionsLike, "backward", optionTable);
  handle.alive();
  const tape = takeTape();
  if (tape === undefined) {
    throw new HeadwiseError(
      "invalid-option",
      "backward: call forward with train: true first; each such call allows one backward, before parameters or gates are changed",
    );
  }
  refuseOtherShape(gradOutput, "gradOutput", tape.output);
  if (gradWeights) refuseOtherShape(gradWeights, "gradWeights", tape.weights);
  return handle.call({ gradOutput, gradWeights }, tape.inputs, (native, staged) => {
    const { gradOutput, gradWeights, query, key, value } = staged.pointers;
    staged.check(native.backward(gradOutput, gradWeights, query, key, value));
    return staged.results("query", "key", "value");
  });
}
