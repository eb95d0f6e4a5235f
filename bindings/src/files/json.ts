/** Parses JSON of untrusted files. */
import { show } from "../base/checks.js";
import { isObject } from "../base/kinds.js";
import type { HeadwiseError } from "../base/errors.js";

/** Calls back for each bracket and colon outside strings, with the bounds of the last string before it. */
function forEachMark(text: string, visit: (mark: string, begin: number, end: number) => void): void {
  let [begin, end] = [0, 0];
  for (let n = 0; n < text.length; ++n) {
    const mark = text[n]!;
    if (mark === '"') {
      begin = n + 1;
      for (++n; n < text.length && text[n] !== '"'; ++n) if (text[n] === "\\") ++n;
      end = n;
    } else if ("[]{}:".includes(mark)) visit(mark, begin, end);
  }
}

/** Keys of the objects in a value. */
function countKeys(value: unknown): number {
  if (!isObject(value)) return 0;
  const own = Array.isArray(value) ? 0 : 1;
  return Object.values(value).reduce<number>((count, member) => count + own + countKeys(member), 0);
}

/** A key that occurs twice in an object. */
function repeatedKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  let repeated: string | undefined;
  forEachMark(text, (mark, begin, end) => {
    if (mark === "{") open.push(new Set());
    if (mark === "}") open.pop();
    if (mark !== ":") return;
    const key = JSON.parse(text.slice(begin - 1, end + 1)) as string;
    if (open.at(-1)!.has(key)) repeated ??= key;
    open.at(-1)!.add(key);
  });
  return repeated;
}

/**
 * Parses a JSON text of limited nesting. `brackets` has the allowed opening brackets of each level: ["{", "[{"] allows an object of
 * arrays or objects, "{[" an object of arrays. Other brackets are refused before JSON.parse, which takes 50 bytes and more for each open
 * bracket. A key that occurs twice in an object is refused too, because JSON.parse would keep only the last.
 * @param invalid makes the error. `key`: the key of the outermost object at which a bracket is wrong
 */
export function parseJson(
  text: string,
  brackets: string | readonly string[],
  invalid: (message: string, key?: string) => HeadwiseError,
): unknown {
  let [depth, keys] = [0, 0];
  let key: string | undefined;
  forEachMark(text, (mark, begin, end) => {
    if (mark === ":") {
      if (depth === 1) key = text.slice(begin, end);
      ++keys;
    } else if (mark === "]" || mark === "}") --depth;
    else if (!brackets[depth++]?.includes(mark)) throw invalid("has a bracket that does not belong there", key);
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(`is not JSON: ${(error as Error).message}`);
  }
  if (keys > countKeys(value)) throw invalid(`has the key ${show(repeatedKey(text))} twice`);
  return value;
}
