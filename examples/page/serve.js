// Serves this folder with the two headers that give a page threads.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, join, normalize } from "node:path";

const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
const installed = dirname(createRequire(import.meta.url).resolve("headwise/package.json"));

const server = createServer(async ({ url }, response) => {
  const path = normalize(new URL(url, "http://localhost").pathname);
  const file = path.startsWith("/headwise/")
    ? join(installed, "dist", path.slice(10))
    : join(import.meta.dirname ?? ".", path);
  try {
    const body = await readFile(path === "/" ? "index.html" : file);
    response.writeHead(200, {
      "Content-Type": types[extname(file) || ".html"] ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () =>
  console.log(`Local: http://127.0.0.1:${server.address().port}/`),
);
