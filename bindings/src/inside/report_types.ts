/** The public types of reports. */
import type { HeadStatistics } from "../attention/types.js";
import type { Tokens } from "../base/types.js";
import type { ImportanceMethod } from "../heads/types.js";
import type { HeadIndex } from "./circuit_types.js";
import type { LogitMetric } from "./logit_types.js";

/** Two texts of the same number of tokens, and the logit difference that they are compared by. */
export interface ReportPair extends LogitMetric {
  /** Text whose answer is right. */
  clean: Tokens | string;
  /** Text of the same number of tokens, whose answer is another. */
  corrupted: Tokens | string;
}

/** Options of `headReport`. */
export interface HeadReportOptions {
  /** How importance is measured, as in `headImportance`. Default: `"gradient"` of models that predict the next token, else `"norm"`. */
  importance?: Exclude<ImportanceMethod, "random">;
  /** Number of tokens in each list of tokens. Default 5; 0: no lists. */
  top?: number;
  /** For `attribution` and `patching` of each head. Default: none. */
  pair?: ReportPair;
}

/** A token, how much its logit is changed, and its text where the model has a tokenizer. */
export interface TokenLogit {
  /** Id of the token. */
  readonly token: number;
  /** What the head adds to the token's logit. */
  readonly logit: number;
  /** The token as text, where there is a tokenizer. */
  readonly text?: string;
}

/** The tokens whose logits a head raises and lowers most, compared with the mean over the vocabulary. */
export interface HeadWrites {
  /** Tokens whose logits the head raises most, the largest first. */
  readonly raises: readonly TokenLogit[];
  /** Tokens whose logits the head lowers most, the lowest first. */
  readonly lowers: readonly TokenLogit[];
}

/** What `headReport` says of one head. */
export interface ReportedHead extends HeadIndex {
  /** Of its attention on the texts, as `analyzeHeads` measures it. */
  readonly attention: HeadStatistics;
  /** Scores of `detectHeads` on random tokens given twice. */
  readonly roles: { readonly previous: number; readonly duplicate: number; readonly induction: number };
  /** Importance by the report's method. */
  readonly importance: number;
  /** The mean over the tokens of the texts of what it adds to the logits directly. Absent where logits are no sum of what heads write. */
  readonly writes?: HeadWrites;
  /** With `pair`: its part in the logit difference of the clean text (`attributeLogits`). */
  readonly attribution?: number;
  /** With `pair`: how much of the difference it restores in the corrupted text (`attributionPatch` at "heads"). */
  readonly patching?: number;
}

/** Result of `headReport`; it can be stored as JSON. */
export interface HeadReport {
  /** Number of tokens in the texts. */
  readonly tokens: number;
  /** How importance was measured. */
  readonly importance: ImportanceMethod;
  /** All heads that are left, layer by layer. */
  readonly heads: readonly ReportedHead[];
  /** The same as a table in Markdown. */
  readonly table: string;
}
