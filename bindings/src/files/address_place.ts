/** Files at http addresses. */
import { readerOf } from "./chunks.js";
import { Broken, fileError, Missing, reasonOf, type Answer, type Place } from "./place.js";

/** Temporary statuses: timeout, too early, too many requests. Those from 500 on are temporary, too. */
const passing = [408, 425, 429];
/** Statuses of a missing file. Object stores send 403 if a folder cannot be listed. */
const missing = [403, 404, 410];

const count = (text: string | null | undefined) => (text && /^\d+$/.test(text) ? Number(text) : undefined);

/** What the headers say of the bytes that follow. Headers that another origin does not expose are undefined. */
function extentOf({ status, headers }: Response, from: number, file: string) {
  const [, first, last, all] = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(headers.get("Content-Range") ?? "") ?? [];
  const size = count(all);
  if (status === 416) return { from, to: from, size: size ?? from }; // the file ends before this byte
  const length = headers.has("Content-Encoding") ? undefined : count(headers.get("Content-Length"));
  if (status !== 206) return { from: 0, to: length, size: length };
  if (first === undefined) return { from, to: length === undefined ? undefined : from + length, size: undefined };
  if (Number(first) !== from) throw fileError(file, `the host gives bytes from ${first} on instead of ${from}`);
  return { from, to: Number(last) + 1, size };
}

function refuse(response: Response, file: string): void {
  const { status, headers } = response;
  if (missing.includes(status)) throw new Missing(`HTTP status ${status}`);
  if (status >= 500 || passing.includes(status)) throw new Broken(`HTTP status ${status}`);
  if (!response.ok && status !== 416) throw fileError(file, `HTTP status ${status} (${response.url})`);
  // Hosts of single-page apps send their page for every unknown address.
  if (headers.get("Content-Type")?.startsWith("text/html")) throw new Missing("the host answers with an HTML page");
}

/** @param cached Headwise caches the file itself, so the browser need not */
export function addressPlace(file: string, url: string, cached: boolean): Place {
  return {
    file,
    url,
    async open(from, to, signal): Promise<Answer> {
      const part = from > 0 || to !== undefined;
      const headers: HeadersInit = part ? { Range: `bytes=${from}-${to === undefined ? "" : to - 1}` } : {};
      let response: Response;
      try {
        const cache = cached ? "no-store" : "default";
        response = await fetch(url, { headers, cache, credentials: "same-origin", signal });
      } catch (error) {
        throw new Broken(`${url} cannot be reached: ${reasonOf(error)}`, { cause: error });
      }
      const close = () => void response.body?.cancel().catch(() => {});
      try {
        refuse(response, file);
        const extent = extentOf(response, from, file);
        const reader = response.status === 416 || !response.body ? undefined : readerOf(response.body);
        return {
          ...extent,
          version:
            response.headers.get("ETag")?.replace(/^W\//, "") ?? response.headers.get("Last-Modified") ?? undefined,
          ranged: response.status === 206,
          async read() {
            try {
              return await reader?.read();
            } catch (error) {
              throw new Broken(`the connection broke: ${reasonOf(error)}`, { cause: error });
            }
          },
          close: () => (reader ? reader.cancel() : close()),
        };
      } catch (error) {
        close();
        throw error;
      }
    },
  };
}
