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

const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/** The policy under which the package promises to run. */
export const contentSecurityPolicy =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:";

/**
 * Serves a folder under `mount`. `isolated` sends the isolation headers, `csp` the policy above; `cached` lets browsers keep
 * what they have.
 * @returns {Promise<{ url: string, requests: string[], close: () => Promise<void> }>} requests: the paths asked for
 */
export async function serve(folder, { isolated = true, csp = false, cached = false, mount = "/" } = {}) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    requests.push(pathname);
    const path = normalize(decodeURIComponent(pathname.slice(mount.length - 1)));
    const file = join(folder, path.endsWith("/") ? `${path}index.html` : path);
    const headers = {
      "Content-Type": types[extname(file)] ?? "application/octet-stream",
      ...(isolated && isolation),
      ...(cached && { "Cache-Control": "max-age=3600" }),
      ...(csp && { "Content-Security-Policy": contentSecurityPolicy }),
    };
    try {
      if (!pathname.startsWith(mount)) throw new Error("outside the mount");
      const content = await readFile(file);
      response.writeHead(200, headers).end(content);
    } catch {
      response.writeHead(404, headers).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${mount}`,
    requests,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}
