// What the tests of a model's files use on a page, and in a worker of it.
import { clearCache, isCached, openFiles } from "../../build/models/files-model_files.mjs";
import { resolveSource } from "../../build/models/files-sources.mjs";

const work = {
  /** Reads a model; `slow`: with a pause of so many ms after each tensor. */
  async readModel(source, { slow = 0, ...options } = {}) {
    const model = openFiles(resolveSource(source), options);
    const config = await model.json("config.json");
    const missing = await model.json("modules.json");
    let [tensors, bytes, sum] = [0, 0, 0];
    for await (const tensor of (await model.weights()).stream()) {
      const data = await tensor.bytes();
      tensors += 1;
      bytes += data.length;
      for (let n = 0; n < data.length; n += 97) sum = (sum * 31 + data[n]) >>> 0;
      if (slow) await new Promise((resolve) => setTimeout(resolve, slow));
    }
    return { type: config?.model_type, missing: missing === undefined, tensors, bytes, sum };
  },
  isCached: (source) => isCached(source),
  clearCache: (source) => clearCache(source).then(() => "done"),
};

if (typeof document === "undefined") {
  self.onmessage = async ({ data: [method, ...args] }) => {
    postMessage(await work[method](...args).catch(({ code, message }) => ({ code, message })));
  };
} else {
  Object.assign(window, work, {
    /** The same in a worker. */
    inWorker(...call) {
      const worker = new Worker("files_page.js", { type: "module" });
      return new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
        worker.postMessage(call);
      }).finally(() => worker.terminate());
    },
    /** Makes the Cache API fail as it does in private windows, or when the disk is full. */
    breakCaches(how) {
      const refuse = () =>
        Promise.reject(new DOMException("no", how === "full" ? "QuotaExceededError" : "SecurityError"));
      if (how === "full") Cache.prototype.put = refuse;
      else CacheStorage.prototype.open = refuse;
    },
    /** The disk is full after a while. */
    fillCaches(after) {
      Cache.prototype.put = async (_, response) => {
        const reader = response.body.getReader();
        for (let bytes = 0; bytes < after; bytes += (await reader.read()).value.length);
        await reader.cancel();
        throw new DOMException("no", "QuotaExceededError");
      };
    },
  });
}
