import { nodeBuiltin } from "./node.js";
import type { Bytes } from "./types.js";

/** Encoders of the engine; jsdom has none of its own, but Node.js below it has. */
const coders = () => (typeof TextDecoder === "undefined" ? nodeBuiltin("node:util")! : globalThis);

export const encodeUtf8 = (text: string): Bytes => Uint8Array.from(new (coders().TextEncoder)().encode(text));

/** Throws a TypeError if the bytes are not UTF-8. They must not be in shared memory. */
export const decodeUtf8 = (bytes: Uint8Array, options?: { ignoreBOM: boolean }): string =>
  new (coders().TextDecoder)("utf-8", { fatal: true, ...options }).decode(bytes);
