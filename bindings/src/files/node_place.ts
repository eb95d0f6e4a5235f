/** Files of Node's file system. */
import { HeadwiseError } from "../base/errors.js";
import { nodeBuiltin } from "../base/node.js";
import { fileError, Missing, reasonOf, type Place } from "./place.js";

const chunkBytes = 1 << 20;

export function nodePlace(file: string, path: string | URL): Place {
  return {
    file,
    async open(from, to) {
      const { open } = nodeBuiltin("node:fs/promises")!;
      const fail = (error: unknown) => fileError(file, `it cannot be read: ${reasonOf(error)}`, error);
      const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT" || error.code === "ENOTDIR") throw new Missing("there is no such file");
        throw fail(error);
      });
      const close = () => void handle.close().catch(() => {});
      try {
        const { size, mtimeMs } = await handle.stat();
        const end = Math.min(to ?? size, size);
        const chunk = new Uint8Array(Math.max(0, Math.min(chunkBytes, end - from)));
        let position = from;
        return {
          from,
          to: end,
          size,
          version: String(mtimeMs),
          ranged: true,
          async read() {
            const most = Math.min(chunk.length, end - position);
            if (most <= 0) return undefined;
            const { bytesRead } = await handle.read(chunk, 0, most, position).catch((error) => {
              throw fail(error);
            });
            if (bytesRead === 0) throw fileError(file, `it has become shorter than its ${size} bytes`);
            position += bytesRead;
            return chunk.subarray(0, bytesRead);
          },
          close,
        };
      } catch (error) {
        close();
        throw error instanceof HeadwiseError ? error : fail(error);
      }
    },
  };
}
