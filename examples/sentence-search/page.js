// Searches on the page: the model is downloaded once, runs in a worker, and no text leaves the reader's machine.
import { load } from "headwise/worker";
import { nearest } from "./nearest.js";

const [sentences, query, status, results] = ["sentences", "query", "status", "results"].map((id) =>
  document.getElementById(id),
);
sentences.value = [
  "I forgot my login and need a new one.",
  "The museum is closed on Mondays.",
  "Where can I change my credentials?",
  "Rain is expected in the north tomorrow.",
].join("\n");

const model = new URLSearchParams(location.search).get("model"); // the address of a folder, for a copy of your own
const source = model ?? { hub: "sentence-transformers/all-MiniLM-L6-v2" };
try {
  const hw = await load();
  const opened = await hw.openModel(source, {
    onProgress: ({ loaded, total }) => {
      status.textContent = `The model: ${(loaded / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB`;
    },
  });
  const search = async () => {
    const lines = sentences.value.split("\n").filter((line) => line !== "");
    const found = nearest(await opened.embed([query.value, ...lines], { normalize: true }), lines);
    results.replaceChildren(
      ...found.map(({ sentence, similarity }) =>
        Object.assign(document.createElement("li"), { textContent: `${similarity.toFixed(3)} ${sentence}` }),
      ),
    );
    status.textContent = `${lines.length} sentences searched.`;
  };
  query.oninput = sentences.oninput = search;
  await search();
} catch (error) {
  status.textContent = error.message;
}
