// The worker in which a sample runs: its imports of "headwise" are the package of this site, its console is the page.
import { inspect } from "loupe";

/** As Node prints it; loupe tells +0 from -0. */
const show = (value) =>
  typeof value === "string" ? value : inspect(value, { truncate: 300 }).replace(/(?<![\w.])\+0/g, "0");
console.log = (...values) => postMessage({ line: values.map(show).join(" ") });

onmessage = async ({ data: { code, site } }) => {
  const addresses = { headwise: "package/index.js", "headwise/worker": "package/worker.js" };
  const linked = code
    .replace(
      /(from\s*)"(headwise(?:\/worker)?)"/g,
      (_, from, name) => `${from}${JSON.stringify(site + addresses[name])}`,
    )
    .replaceAll('"tiny/', `"${site}tiny/`);
  const url = URL.createObjectURL(new Blob([linked], { type: "text/javascript" }));
  try {
    await import(/* @vite-ignore */ url);
    postMessage({ end: "done" });
  } catch (error) {
    postMessage({ line: `${error.name}: ${error.message}`, end: "failed" });
  }
};
