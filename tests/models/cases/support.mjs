// What cases of opened models share: golden files as sources that can be changed.
import { readSafetensors, writeSafetensors } from "../../../dist/index.js";
import { openGolden } from "../goldens.mjs";

export { expectError } from "../../js/cases/support.mjs";

const bytesOf = async (url) => {
  if (url.protocol === "file:") return new Uint8Array(await (await import("node:fs/promises")).readFile(url));
  return new Uint8Array(await (await fetch(url)).arrayBuffer());
};

export const encode = (value) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
export const decode = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

/**
 * A golden model in memory, with another configuration, other tensors or more files. Functions change what there is.
 * @param {string} name
 */
export async function changed(name, { config = (it) => it, tensors, files = {} } = {}) {
  const { folder } = await openGolden(name);
  const read = (file) => bytesOf(new URL(file, folder));
  let weights = await read("model.safetensors");
  if (tensors) {
    const file = readSafetensors(weights);
    weights = writeSafetensors(tensors(Object.fromEntries(file.names.map((each) => [each, file.tensor(each)]))));
  }
  return { "config.json": encode(config(decode(await read("config.json")))), "model.safetensors": weights, ...files };
}
