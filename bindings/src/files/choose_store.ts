/** Chooses the cache of downloaded files: the Cache API in browsers, a folder in Node. */
import { invalidOption } from "../base/checks.js";
import { nodeBuiltin } from "../base/node.js";
import { browserStore } from "./browser_store.js";
import { folderStore } from "./folder_store.js";
import type { Store } from "./store.js";

/** The store for the option `cache`. */
export function storeOf(cache: unknown): Store | undefined {
  const inNode = nodeBuiltin("node:fs/promises") !== undefined;
  if (cache === false || (cache === undefined && inNode)) return undefined;
  if (inNode && typeof cache === "string" && cache !== "") return folderStore(cache);
  if (inNode) throw invalidOption("cache", "a folder, or false (in Node)", cache);
  if (cache !== undefined && cache !== true) throw invalidOption("cache", "true or false (in browsers)", cache);
  return typeof caches === "undefined" ? undefined : browserStore;
}
