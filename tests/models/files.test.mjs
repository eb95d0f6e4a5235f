// The way of a model's files, up to the bytes of each tensor.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";

import { tensor, writeSafetensors } from "../../dist/index.js";
import {
  config,
  index,
  model,
  one,
  openFiles,
  ramp,
  readAll,
  rejects,
  resolveSource,
  shards,
  tensors,
  two,
  weights,
  withHost,
} from "./small_files.mjs";

describe("sources", () => {
  let folder;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "headwise-files-"));
    for (const [name, bytes] of Object.entries(model)) await writeFile(join(folder, name), bytes);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const check = async (source) => {
    const files = openFiles(resolveSource(source));
    assert.deepEqual(await files.json("config.json", true), { model_type: "test" });
    assert.equal(await files.json("tokenizer.json"), undefined);
    const opened = await files.weights();
    assert.deepEqual(opened.metadata, { format: "pt" });
    assert.equal(opened.bytes, weights.length);
    assert.deepEqual([...opened.tensors.keys()].sort(), Object.keys(tensors).sort());
    opened.close();
    assert.deepEqual(await readAll(source), tensors);
  };

  it("are a folder of Node, as address or path", async () => {
    await check(pathToFileURL(`${folder}/`));
    await check(pathToFileURL(`${folder}/`).href);
    await check(`${folder}/`);
  });
  it("are a folder of a host, whose query goes with every file", () =>
    withHost(model, async (url, requests) => {
      await check(url);
      await check(new URL(`${url}?token=1`));
      assert.deepEqual(
        requests.filter(({ path }) => path === "model.safetensors").map(({ range }) => range),
        Array(2).fill(["bytes=0-65535", "bytes=0-65535", "bytes=65536-"]).flat(),
      );
    }));
  it("are a model on a hub", () => {
    const at = (path) => Object.fromEntries(Object.entries(model).map(([name, file]) => [`${path}/${name}`, file]));
    return withHost({ ...at("org/name/resolve/main"), ...at("gpt2/resolve/refs/pr/1") }, async (url) => {
      await check({ hub: "org/name", endpoint: url });
      await check({ hub: "gpt2", endpoint: url, revision: "refs/pr/1" });
      assert.equal(
        resolveSource({ hub: "openai-community/gpt2" }).folder,
        "https://huggingface.co/openai-community/gpt2/resolve/main/",
      );
    });
  });
  it("are files by name, in memory and at addresses", () =>
    withHost(model, async (url) => {
      for (const file of [
        new Uint8Array(weights),
        new Uint8Array(weights).buffer,
        new Blob([weights]),
        new URL("model.safetensors", url),
        `${url}model.safetensors`,
      ]) {
        await check({ "config.json": new Blob([config]), "model.safetensors": file });
      }
      const shifted = new Uint8Array(weights.length + 1);
      shifted.set(weights, 1);
      await check({ "config.json": config, "model.safetensors": shifted.subarray(1) });
    }));
  it("are files as they were dropped, whatever folder they were in", async () => {
    const dropped = (prefix) =>
      Object.entries({ ...model, "onnx/config.json": Buffer.from("{}") }).map(([name, bytes]) => {
        const file = new File([bytes], name.split("/").at(-1));
        Object.defineProperty(file, "webkitRelativePath", { value: prefix && `${prefix}${name}` });
        return file;
      });
    await check(dropped("models/gpt2/"));
    await check(dropped("").slice(0, 2));
  });
  it("that are none are refused", () => {
    for (const [source, message] of [
      [undefined, /source: expected a folder's address/],
      [7, /source/],
      [new Blob([]), /source/],
      ["folder", /source: expected a folder, whose address ends in "\/"/],
      [{ hub: "a/b/c" }, /source.hub/],
      [{ hub: "../x" }, /source.hub/],
      [{ hub: "a/b", revision: ".." }, /source.revision/],
      [{ hub: "a/b", version: "1" }, /unknown option "version"/],
      [{ "config.json": 7 }, /source, config.json/],
      [["config.json"], /an array of Files/],
    ]) {
      assert.throws(
        () => resolveSource(source),
        (error) => error.code === "invalid-option" && message.test(error.message),
      );
    }
  });
  it("of many files are read in their order, as one", async () => {
    await withHost({ ...shards, ...index }, async (url, requests) => {
      const progress = [];
      const read = await readAll(url, { onProgress: (step) => progress.push(step) });
      assert.deepEqual(read, { one: tensors["a.weight"], two: tensors["a.bias"], three: tensors["b.weight"] });
      const total = shards[one].length + shards[two].length;
      assert.deepEqual(progress.at(-1), { file: two, loaded: total, total });
      assert.ok(progress.every(({ loaded }, n) => n === 0 || loaded > progress[n - 1].loaded));
      assert.ok(progress.every((step) => step.total === total));
      assert.equal(requests.filter(({ path }) => path === one).length, 2);
    });
  });
});

describe("tensors", () => {
  it("can be read in pieces, in part or not at all; large ones are skipped by a request", async () => {
    const large = {
      first: tensor(ramp(9, 0), [9]),
      large: tensor(new Float32Array(2_000_000), [2_000_000]),
      last: tensor(ramp(5, 1), [5]),
    };
    const bytes = Buffer.from(writeSafetensors(large));
    await withHost({ "model.safetensors": bytes }, async (url, requests) => {
      const opened = await openFiles(resolveSource(url)).weights();
      for await (const tensor of opened.stream()) {
        if (tensor.name === "first") {
          let length = 0;
          for await (const piece of tensor.chunks()) length += piece.length;
          assert.equal(length, 36);
          await assert.rejects(tensor.bytes(), /read already/);
        }
        if (tensor.name === "last") assert.deepEqual(await tensor.floats(), large.last.data);
      }
      assert.deepEqual(
        requests.map(({ range }) => range),
        ["bytes=0-65535", `bytes=${bytes.length - 20}-`],
      );
    });
  });
  it("are whole whatever the host knows of ranges, lengths and its own headers", async () => {
    for (const behaviour of [
      { ranges: false },
      { ranges: false, length: false },
      { length: false },
      { hide: true },
      { hide: true, length: false },
      { version: () => 1 },
    ]) {
      const files = { "model.safetensors": { bytes: weights, ...behaviour } };
      assert.deepEqual(await withHost(files, (url) => readAll(url)), tensors, JSON.stringify(behaviour));
    }
    const lonely = { "model.safetensors": { bytes: weights.subarray(0), ranges: false } };
    await withHost(lonely, async (url, requests) => {
      await readAll(url);
      assert.equal(requests.length, 1); // the stream that gave the header gives the rest
    });
  });
  it("survive broken connections, and go on where they stopped", async () => {
    const cut = () => [1000, 70_000, 0, 100_000];
    await withHost({ "model.safetensors": { bytes: weights, cut: cut() } }, async (url, requests) => {
      assert.deepEqual(await readAll(url), tensors);
      const starts = requests.map(({ range }) => Number(/=(\d+)-/.exec(range)[1]));
      assert.deepEqual(starts, [0, 1000, 71_000, 71_000, 171_000]);
    });
    await withHost({ "model.safetensors": { bytes: weights, cut: cut(), ranges: false } }, async (url) => {
      assert.deepEqual(await readAll(url), tensors);
    });
    await withHost(
      { "model.safetensors": { bytes: weights, cut: cut(), ranges: false, length: false } },
      async (url) => {
        assert.deepEqual(await readAll(url), tensors);
      },
    );
  });
  it("stop at an abort, between requests and within them", async () => {
    for (const when of ["before", "within", "between"]) {
      await withHost({ "model.safetensors": weights }, async (url) => {
        const controller = new AbortController();
        if (when === "before") controller.abort();
        const options = { signal: controller.signal, onProgress: () => when === "within" && controller.abort() };
        const work = (async () => {
          const opened = await openFiles(resolveSource(url), options).weights();
          for await (const tensor of opened.stream()) {
            if (when === "between") controller.abort();
            await tensor.bytes();
          }
        })();
        await rejects(work, "aborted", /aborted/);
      });
    }
  });
  it("end with what onProgress throws, and with the loop", async () => {
    await withHost({ "model.safetensors": weights }, async (url) => {
      const onProgress = () => {
        throw new Error("enough");
      };
      await assert.rejects(readAll(url, { onProgress }), /enough/);
      const opened = await openFiles(resolveSource(url)).weights();
      for await (const tensor of opened.stream()) {
        assert.equal(tensor.dtype, "F32");
        break;
      }
      assert.throws(() => opened.stream(), /streamed already/);
    });
  });
});
