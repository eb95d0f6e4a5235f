// The page's worker: the suite, and workers of its own whose first results are timed.
import { firstResult } from "./first_result.mjs";
import { runAll } from "./suite.mjs";

const STARTS = 5;
const ANSWER_MS = 15_000;

/** This file again, in a new worker: nothing is loaded there. Null: it never answered (seen in Firefox). */
function inNewWorker(options) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(self.location.href, { type: "module" });
    worker.onerror = (event) => reject(new Error(event.message));
    worker.onmessage = ({ data }) => {
      worker.terminate();
      if (data.error === undefined) resolve(data);
      else reject(new Error(data.error));
    };
    worker.postMessage({ ...options, firstResultOnly: true });
    setTimeout(() => (worker.terminate(), resolve(null)), ANSWER_MS);
  });
}

async function answer({ firstResultOnly, ...options }) {
  if (firstResultOnly) {
    const { cold, warm, hw } = await firstResult({ ...options, threads: Math.max(...options.threads) });
    hw.dispose();
    return { cold, warm };
  }
  const firstResults = []; // first of all: the peers leave a browser behind that is busy with their memory
  for (let n = 0; options.tables && n < STARTS; ++n) firstResults.push(await inNewWorker(options));
  const results = await runAll(options, (progress) => postMessage({ progress }));
  return { results: options.tables ? { ...results, firstResults } : results };
}

self.onmessage = ({ data }) => answer(data).then(postMessage, (error) => postMessage({ error: String(error) }));
