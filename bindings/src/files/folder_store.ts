/** Files in a folder of Node's file system: `<folder>/headwise-models/<host>/<path>`. */
import { nodeBuiltin } from "../base/node.js";
import { Missing } from "./place.js";
import { nodePlace } from "./node_place.js";
import type { Store } from "./store.js";

export function folderStore(folder: string): Store {
  const fs = nodeBuiltin("node:fs/promises")!;
  const { join } = nodeBuiltin("node:path")!;
  const root = join(folder, "headwise-models");
  const pathOf = (url: string) => {
    const { host, pathname, search } = new URL(url); // whose path has no ".." any more
    const parts = [host, ...pathname.split("/").filter(Boolean)].map((part) =>
      part.replace(/[<>:"\\|?*]/g, encodeURIComponent),
    );
    return join(root, ...parts) + (search && encodeURIComponent(search));
  };
  return {
    async find(url, file) {
      const place = nodePlace(file, pathOf(url));
      try {
        (await place.open(0, 0, undefined)).close();
        return place;
      } catch (error) {
        if (error instanceof Missing) return undefined;
        throw error;
      }
    },
    async keep(url) {
      const path = pathOf(url);
      const unfinished = `${path}.${Math.random().toString(36).slice(2)}.part`;
      await fs.mkdir(join(path, ".."), { recursive: true });
      const handle = await fs.open(unfinished, "wx");
      return {
        async write(bytes) {
          for (let done = 0; done < bytes.length;) {
            done += (await handle.write(bytes, done)).bytesWritten;
          }
        },
        async close() {
          await handle.close();
          await fs.rename(unfinished, path);
        },
        abort: () =>
          void handle
            .close()
            .catch(() => {})
            .then(() => fs.rm(unfinished, { force: true }))
            .catch(() => {}),
      };
    },
    clear: (prefix) => fs.rm(prefix === "" ? root : pathOf(prefix), { recursive: true, force: true }),
  };
}
