// What a page computes with: each way into the package.
import "./page.js";

const { compute } = globalThis;
globalThis.compute = (entry, options) => {
  if (entry !== "headwise in a worker") return compute(entry, options);
  return new Promise((resolve) => {
    const own = new Worker(new URL("./own-worker.js", import.meta.url), { type: "module" });
    own.onmessage = ({ data }) => resolve(data);
    own.onerror = ({ message }) => resolve({ error: `the page's own worker: ${message}` });
    own.postMessage(options);
  });
};
