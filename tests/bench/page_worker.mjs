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
  const results = await runAll(options, (progress) => postMessage({ progress }));
  if (options.tables) {
    results.firstResults = [];
    for (let n = 0; n < STARTS; ++n) results.firstResults.push(await inNewWorker(options));
  }
  return { results };
}

self.onmessage = ({ data }) => answer(data).then(postMessage, (error) => postMessage({ error: String(error) }));
