// A host of files on the loopback address that can misbehave in the ways that hosts do.
import { createServer } from "node:http";

/**
 * `files`: by path, a Buffer, or { bytes or size (zeros after `head`), and how it misbehaves }:
 *   ranges: false     it gives the whole file alone
 *   length: false     it does not tell the length
 *   cut: [n, …]       the first connections break after n bytes each
 *   version: () => s  its ETag
 *   status, html      it answers with that
 *   claim: n          it claims that many bytes and sends what it has
 *   hide: true        it hides Content-Range and ETag, as other origins' headers are that are not exposed
 * @returns {Promise<{ url: string, requests: { path: string, range?: string }[], close: () => Promise<void> }>}
 */
export async function host(files) {
  const requests = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname.slice(1));
    requests.push({ path, range: request.headers.range });
    const given = files[path];
    const headers = { "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Range, ETag" };
    if (given === undefined) return response.writeHead(404, headers).end();
    const file = Buffer.isBuffer(given) ? { bytes: given } : given;
    if (file.status) return response.writeHead(file.status, headers).end("<h1>no</h1>");
    if (file.html) return response.writeHead(200, { ...headers, "Content-Type": "text/html" }).end("<h1>the app</h1>");
    send(file, request, response, headers);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    requests,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

const zeros = Buffer.alloc(1 << 18);

/** The bytes of a file from one place on. */
function pieceOf({ bytes, head }, from, most) {
  const all = bytes ?? (from < head.length ? head : undefined);
  return all ? all.subarray(from, from + most) : zeros.subarray(0, Math.min(most, zeros.length));
}

function send(file, request, response, headers) {
  const size = file.size ?? file.bytes.length;
  const [, first, last] = (file.ranges !== false && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "")) || [];
  const from = Number(first ?? 0);
  const to = Math.min(last ? Number(last) + 1 : size, size);
  if (file.version && !file.hide) headers.ETag = `"${file.version()}"`;
  if (from >= size && first !== undefined)
    return response.writeHead(416, { ...headers, "Content-Range": `bytes */${size}` }).end();
  if (first !== undefined && !file.hide) headers["Content-Range"] = `bytes ${from}-${to - 1}/${size}`;
  if (file.length !== false) headers["Content-Length"] = file.claim ?? to - from;
  response.writeHead(first === undefined ? 200 : 206, headers);
  const end = Math.min(to, from + (file.cut?.shift() ?? Infinity));
  const step = (position) => {
    while (position < end) {
      const piece = pieceOf(file, position, end - position);
      position += piece.length;
      if (!response.write(piece)) return response.once("drain", () => step(position));
    }
    if (end < to) setTimeout(() => response.destroy(), 20);
    else response.end();
  };
  step(from);
}
