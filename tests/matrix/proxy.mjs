// In front of a server of somebody else's: sends the isolation headers or not, and remembers what was asked for.
import { createServer, request as ask } from "node:http";
import { connect } from "node:net";

import { isolation } from "../support/server.mjs";

/** @returns {Promise<{ url: string, requests: string[], close: () => Promise<void> }>} as `serve` of tests/support/server.mjs */
export async function proxy(port, { isolated }) {
  const upstream = { host: "127.0.0.1", port };
  const host = `127.0.0.1:${port}`; // what servers for development compare with
  const requests = [];
  const server = createServer((request, response) => {
    if (request.url === "/favicon.ico") return response.writeHead(204).end();
    requests.push(request.url);
    const { method, url: path } = request;
    const asked = ask({ ...upstream, method, path, headers: { ...request.headers, host } }, (answer) => {
      const headers = { ...answer.headers, ...(isolated && isolation), "cache-control": "no-store" };
      response.writeHead(answer.statusCode, headers);
      answer.pipe(response);
    });
    asked.on("error", () => response.destroy());
    request.pipe(asked);
  });
  // The WebSocket over which such servers tell of changes.
  server.on("upgrade", ({ method, url, headers }, socket, head) => {
    const other = connect(upstream, () => {
      const lines = Object.entries({ ...headers, host, origin: `http://${host}` }).map(([k, v]) => `${k}: ${v}\r\n`);
      other.write(`${method} ${url} HTTP/1.1\r\n${lines.join("")}\r\n`);
      other.write(head);
      socket.pipe(other).pipe(socket);
    });
    other.on("error", () => socket.destroy());
    socket.on("error", () => other.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    requests,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}
