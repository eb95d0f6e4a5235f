/** Whether arguments of an analysis have text in them, apart from the code that reads it. */
import { hasMembers } from "../base/options.js";

const texts = ["answer", "against", "clean", "corrupted", "tokens", "metric", "pair"];

export function hasText(value: unknown): boolean {
  if (Array.isArray(value)) return value.some((each) => typeof each !== "number" && hasText(each));
  return typeof value === "string" || (hasMembers(value) && texts.some((name) => hasText(value[name])));
}
