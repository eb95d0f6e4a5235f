// A static file server on the loopback address, with or without the headers that give a page threads.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** The headers of a cross-origin isolated page and of its files. */
export const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/** The content security policy that the package supports. */
export const contentSecurityPolicy =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:";

/**
 * Serves a folder under `mount`. `isolated` sends the isolation headers, `csp` the policy above, `headers` additional ones. `cached`
 * allows browsers to cache.
 * @returns {Promise<{ url: string, requests: string[], close: () => Promise<void> }>} requests: the paths asked for
 */
export async function serve(
  folder,
  { isolated = true, csp = false, cached = false, mount = "/", headers: more = {} } = {},
) {
  const requests = [];
  const headers = {
    ...(isolated && isolation),
    ...(cached && { "Cache-Control": "max-age=3600" }),
    ...(csp && { "Content-Security-Policy": contentSecurityPolicy }),
    ...more,
  };
  const server = createServer(async (request, response) => {
    const [pathname] = request.url.split("?");
    requests.push(pathname);
    try {
      if (!pathname.startsWith(mount)) throw new Error("outside the mount");
      const path = normalize(decodeURIComponent(pathname.slice(mount.length - 1)));
      const file = join(folder, path.endsWith("/") ? `${path}index.html` : path);
      const content = await readFile(file);
      const type = types[extname(file)] ?? "application/octet-stream";
      response.writeHead(200, { "Content-Type": type, ...headers }).end(content);
    } catch {
      response.writeHead(404, headers).end(); // no such file, or no such path: "%"
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${mount}`,
    requests,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}
