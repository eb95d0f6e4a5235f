/**
 * Hugging Face's tokenizers in JavaScript, which are loaded when a tokenizer.json is opened and not before. Only what runs on
 * the caller's thread imports this file: bundlers make classic scripts of workers, which cannot import on demand.
 */
import { onDemand } from "../base/on_demand.js";
import type { TokenizerLibrary } from "./tokenizer.js";

export const loadTokenizers = (): Promise<TokenizerLibrary> => onDemand(() => import("@huggingface/tokenizers"));
