// The cases of the public API, the same in Node and in browsers, for both entries: everything is awaited, and results
// are compared with tests/js/reference.mjs.
import { analyzeHeadsCases } from "./cases/analyze_heads.mjs";
import { argumentCases } from "./cases/arguments.mjs";
import { attentionCases } from "./cases/attention.mjs";
import { attentionOptionCases } from "./cases/attention_options.mjs";
import { cacheCases } from "./cases/cache.mjs";
import { errorCases } from "./cases/errors.mjs";
import { formatCases } from "./cases/formats.mjs";
import { generateCases } from "./cases/generate.mjs";
import { headImportanceCases } from "./cases/head_importance.mjs";
import { hostileCases } from "./cases/hostile.mjs";
import { keyMaskCases } from "./cases/key_mask.mjs";
import { limitCases } from "./cases/limits.mjs";
import { moduleCases } from "./cases/module.mjs";
import { moduleOptionCases } from "./cases/module_options.mjs";
import { optimizerCases } from "./cases/optimizer.mjs";
import { pruneByImportanceCases } from "./cases/prune_by_importance.mjs";
import { reentrancyCases } from "./cases/reentrancy.mjs";
import { rotaryEmbeddingCases } from "./cases/rotary_embedding.mjs";
import { trainingCases } from "./cases/training.mjs";
import { transformerCases } from "./cases/transformer.mjs";
import { transformerChoiceCases } from "./cases/transformer_choices.mjs";
import { transformerErrorCases } from "./cases/transformer_errors.mjs";
import { transformerTrainingCases } from "./cases/transformer_training.mjs";

/** Cases that look at memory have an instance to themselves, in which no other has left anything to the garbage collector. */
const alone = (run) => async (context) => {
  const { simd, threads } = context.hw.info;
  const hw = await context.load({ simd, threads });
  try {
    await run({ ...context, hw });
  } finally {
    await hw.dispose();
  }
};

/**
 * `run({ hw, expect, load, entry })`: a loaded instance, chai's expect, and the entry's load function. `once`: it is about the
 * package's JavaScript and takes seconds; where an entry runs in several binaries, one is enough.
 * @type {{ name: string, once?: boolean, run: (context: any) => Promise<void> }[]}
 */
export const cases = [
  ...attentionCases,
  ...attentionOptionCases,
  ...keyMaskCases,
  ...rotaryEmbeddingCases,
  ...moduleCases,
  ...moduleOptionCases,
  ...trainingCases,
  ...transformerCases,
  ...transformerChoiceCases,
  ...generateCases,
  ...formatCases,
  ...transformerTrainingCases,
  ...optimizerCases,
  ...transformerErrorCases,
  ...cacheCases,
  ...analyzeHeadsCases,
  ...headImportanceCases,
  ...pruneByImportanceCases,
  ...errorCases,
  ...hostileCases,
  ...limitCases,
  ...argumentCases,
  ...reentrancyCases,
].map((each) => (each.alone ? { ...each, run: alone(each.run) } : each));
