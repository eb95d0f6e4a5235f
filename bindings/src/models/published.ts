/** What an opened model knows of the files that it comes from; the same for a pruned one. */
import type { Weights } from "../files/types.js";
import type { ResolvedTransformerConfig } from "../transformer/types.js";
import type { FoundFamily } from "./architectures/index.js";
import { placementsOf, type Placement } from "./architectures/placements.js";
import type { InputReaders } from "./input_readers.js";
import type { ModelSettings } from "./model_settings.js";

export interface Published extends FoundFamily {
  readonly settings: ModelSettings;
  readonly labels: readonly string[] | undefined;
  /** Stands before the names of the family's tensors. */
  readonly prefix: string;
  readonly tensors: Weights["tensors"];
  readonly readers: InputReaders;
  /** By which `headwise/worker` finds the readers, which are on its other side. */
  readonly key: number | undefined;
}

/** Where a model's parameters are in files. */
export const placementsIn = (
  { family, prefix, tensors }: Pick<Published, "family" | "prefix" | "tensors">,
  config: ResolvedTransformerConfig,
): Placement[] => placementsOf(family, config, prefix, (name) => tensors.has(name));
