/** One call of a transformer in the core. */
import type { Tensor } from "../base/types.js";
import type { Handle, Staged } from "../runtime/instance.js";
import type { BatchCall, NativeModel } from "../runtime/native.js";
import { positionsFor } from "./image_positions.js";
import type { CheckedInput } from "./input.js";
import { frequencyTable, layerFrequencies } from "./native_config.js";
import { refuseTooLarge } from "./tokens.js";
import type { ResolvedTransformerConfig } from "./types.js";

type Arrays = Readonly<Record<string, Int32Array | Float32Array | Float64Array | Tensor | undefined>>;
type Shapes = Readonly<Record<string, readonly number[] | undefined>>;

/** Copies an input and `others` into WebAssembly memory and reserves memory for `outputs`. */
export function callModel<T>(
  handle: Handle<NativeModel>,
  config: ResolvedTransformerConfig,
  { batch, length, grid, arrays }: CheckedInput,
  others: Arrays,
  outputs: Shapes,
  work: (native: NativeModel, call: BatchCall, staged: Staged<string, Shapes>) => T,
): T {
  handle.alive();
  refuseTooLarge(handle.instance, batch * length * Math.max(config.embedDim, config.feedForwardDim));
  setFrequencies(handle, config, textLength(arrays.positions, length));
  const patchPositions = grid && positionsFor(handle, config, grid);
  return handle.call({ ...arrays, patchPositions, ...others } as Arrays, outputs, (native, staged) => {
    const at = (name: string) => staged.pointers[name] ?? 0;
    const call = {
      ...{ batch, length, tokens: at("tokens"), patches: at("patches"), positions: at("positions") },
      patchPositions: at("patchPositions"),
      ...{ tokenTypes: at("tokenTypes"), mask: at("mask"), targets: at("targets"), pooledRows: at("pooledRows") },
    };
    return work(native, call, staged as Staged<string, Shapes>);
  });
}

/** The largest text length in a batch: its largest position plus 1. */
const textLength = (positions: ArrayLike<number> | undefined, length: number) =>
  positions === undefined
    ? length
    : (Array.prototype.reduce.call(positions, (most, p) => Math.max(most as number, (p as number) + 1), 0) as number);

/** Frequencies that depend on the text's length. */
export function setFrequencies(handle: Handle<NativeModel>, config: ResolvedTransformerConfig, length: number): void {
  if (!dependsOnLength(config)) return;
  handle.call(layerFrequencies(config, length), { table: [config.layers] }, (native, staged) => {
    staged.write("table", frequencyTable(config, staged.pointers));
    native.setFrequencies(staged.pointers.table!);
  });
}

/** Texts longer than this have other frequencies. Undefined: frequencies do not depend on the length. */
export function dependsOnLength({ rope, layerOptions }: ResolvedTransformerConfig): number | undefined {
  const all = [rope, ...layerOptions.map((layer) => layer.rope)];
  const dynamic = all.find((own) => own && own.scaling?.type === "dynamic");
  return dynamic ? dynamic.scaling!.originalLength : undefined;
}
