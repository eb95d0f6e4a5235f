/** `totalBytes` is 0 where the server does not say. */
export type Progress = (loadedBytes: number, totalBytes: number) => void;

/** Fetches all the files at once and reports their progress as one download. */
export async function download(
  urls: readonly string[],
  onProgress?: Progress,
  signal?: AbortSignal,
): Promise<Uint8Array[]> {
  const responses = await Promise.all(
    urls.map(async (url) => {
      const response = await fetch(url, { signal });
      if (!response.ok) throw new Error(`${url}: HTTP ${response.status} ${response.statusText}`);
      return response;
    }),
  );
  const lengths = responses.map(({ headers }) => Number(headers.get("content-length")));
  const total = lengths.includes(0) ? 0 : lengths.reduce((sum, length) => sum + length);
  let loaded = 0;
  const report = (bytes: number) => {
    loaded += bytes;
    onProgress?.(loaded, total && Math.max(total, loaded)); // a compressed file is longer than its Content-Length
  };
  return Promise.all(responses.map((response) => readAll(response, report)));
}

async function readAll(response: Response, report: (bytes: number) => void): Promise<Uint8Array> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const reader = response.body!.getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    chunks.push(step.value);
    report(step.value.byteLength);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
