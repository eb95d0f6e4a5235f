// A static file server on the loopback address, with or without the headers that give a page threads.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { extname, join, normalize } from "node:path";

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
};

/** A slow host answers in chunks of this many bytes, those of several answers in turns. */
const CHUNK = 8192;

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
 * allows browsers to cache. `bytesPerSecond` is what all answers together get at most, `compressed` sends text and WebAssembly gzipped, as
 * hosts do. `isDown`: whether connections break. `hold`: what is
 * waited for before an answer, by path. `also`: other folders, by the paths that they are served under.
 * @returns {Promise<{ url: string, requests: string[], served: { bytes: number }, close: () => Promise<void> }>} requests: the paths asked for
 */
export async function serve(
  folder,
  {
    isolated = true,
    csp = false,
    cached = false,
    mount = "/",
    headers: more = {},
    bytesPerSecond = Infinity,
    compressed = false,
    also = {},
    isDown = () => false,
    hold = () => undefined,
  } = {},
) {
  const requests = [];
  const served = { bytes: 0, free: 0 };
  const headers = {
    ...(isolated && isolation),
    ...(cached && { "Cache-Control": "max-age=3600" }),
    ...(csp && { "Content-Security-Policy": contentSecurityPolicy }),
    ...more,
  };
  const server = createServer(async (request, response) => {
    const [pathname] = request.url.split("?");
    requests.push(pathname);
    if (isDown()) return request.destroy();
    await hold(pathname);
    try {
      if (!pathname.startsWith(mount)) throw new Error("outside the mount");
      const [under, from] = Object.entries(also).find(([path]) => pathname.startsWith(mount + path)) ?? ["", folder];
      const path = normalize(decodeURIComponent(pathname.slice(mount.length + under.length - 1)));
      const file = join(from, path.endsWith("/") ? `${path}index.html` : path);
      const content = await readFile(file);
      const type = types[extname(file)] ?? "application/octet-stream";
      const zip = compressed && extname(file) in types;
      const body = zip ? gzipSync(content) : content;
      const encoding = zip && { "Content-Encoding": "gzip" };
      response.writeHead(200, {
        "Content-Type": type,
        "Content-Length": body.length,
        ...encoding,
        ...headers,
      });
      served.bytes += body.length;
      if (bytesPerSecond === Infinity) return response.end(body);
      for (let at = 0; at < body.length; at += CHUNK) {
        // The line is busy until all chunks before are through.
        served.free = Math.max(served.free, performance.now()) + (1000 * CHUNK) / bytesPerSecond;
        await sleep(served.free - performance.now());
        response.write(body.subarray(at, at + CHUNK));
      }
      response.end();
    } catch {
      response.writeHead(404, headers).end(); // no such file, or no such path: "%"
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${mount}`,
    requests,
    /** `bytes`: of all answers. */
    served,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}
