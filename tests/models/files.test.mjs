// The way of a model's files, up to the bytes of each tensor.
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile, mkdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";

import { tensor, writeSafetensors } from "../../dist/index.js";
import { host } from "./host.mjs";
import { importInternal } from "./internal.mjs";

const { clearCache, isCached, openFiles } = await importInternal("files/model_files.ts");
const { resolveSource } = await importInternal("files/sources.ts");

const ramp = (length, first) => Float32Array.from({ length }, (_, n) => first + n);
const config = Buffer.from('{"model_type":"test"}');
/** Tensors of 400 KB together: several windows and chunks. */
const tensors = {
  "a.weight": tensor(ramp(60_000, 1), [300, 200]),
  "a.bias": tensor(ramp(3, 7), [3]),
  none: tensor(new Float32Array(0), [0, 4]),
  "b.weight": tensor(ramp(40_000, -5), [40_000]),
};
const weights = Buffer.from(writeSafetensors(tensors, { metadata: { format: "pt" } }));
const model = { "config.json": config, "model.safetensors": weights };

const shards = {
  "model-1-of-2.safetensors": Buffer.from(writeSafetensors({ one: tensors["a.weight"], two: tensors["a.bias"] })),
  "model-2-of-2.safetensors": Buffer.from(writeSafetensors({ three: tensors["b.weight"] })),
};
const indexOf = (map) => Buffer.from(JSON.stringify({ metadata: {}, weight_map: map }));
const [one, two] = Object.keys(shards);
const index = { "model.safetensors.index.json": indexOf({ one: one, two: one, three: two }) };

/** Reads all tensors as floats. */
async function readAll(source, options) {
  const opened = await openFiles(resolveSource(source), options).weights();
  const read = {};
  for await (const tensor of opened.stream()) {
    read[tensor.name] = { data: (await tensor.floats()).slice(), shape: tensor.shape };
  }
  return read;
}

const rejects = (promise, code, message) =>
  assert.rejects(promise, (error) => {
    assert.deepEqual([error.name, error.code], ["HeadwiseError", code], error.stack);
    assert.match(error.message, message);
    return true;
  });

async function withHost(files, work) {
  const server = await host(files);
  try {
    return await work(server.url, server.requests);
  } finally {
    await server.close();
  }
}

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

describe("broken files and answers are invalid-file, with file and reason:", { concurrency: true }, () => {
  const file = "model.safetensors";
  const header = (json, dataBytes) => {
    const text = Buffer.from(JSON.stringify(json));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    return Buffer.concat([length, text, Buffer.alloc(dataBytes)]);
  };
  const changed = () => {
    let version = 0;
    return { bytes: weights, version: () => ++version };
  };
  const lies = Buffer.from(weights);
  lies.writeBigUInt64LE(10n ** 9n);
  for (const [title, files, message] of [
    ["nothing there", {}, /^model.safetensors: it is missing: HTTP status 404; so is model.safetensors.index.json/],
    [
      "an HTML page",
      { [file]: { html: true } },
      /^model.safetensors: it is missing: the host answers with an HTML page/,
    ],
    [
      "HTML without saying so",
      { [file]: Buffer.from("<!doctype html><h1>hi</h1>") },
      /^model.safetensors: the header is said to have/,
    ],
    ["forbidden", { [file]: { status: 401 } }, /^model.safetensors: HTTP status 401/],
    ["empty", { [file]: Buffer.alloc(0) }, /^model.safetensors: it ends after 0 bytes, where 8 more/],
    [
      "truncated",
      { [file]: weights.subarray(0, 100_000) },
      /^model.safetensors: tensor ".*": its bytes .* are not within the file's/,
    ],
    [
      "truncated, of unknown length",
      { [file]: { bytes: weights.subarray(0, 100_000), ranges: false, length: false } },
      /^model.safetensors: it ends after 100000 bytes/,
    ],
    [
      "too long",
      { [file]: Buffer.concat([weights, Buffer.alloc(9)]) },
      /^model.safetensors: the bytes \d+ to \d+ belong to no tensor/,
    ],
    [
      "too long, of unknown length",
      { [file]: { bytes: Buffer.concat([weights, Buffer.alloc(9)]), ranges: false, length: false } },
      /^model.safetensors: its bytes from \d+ on belong to no tensor/,
    ],
    ["a header that lies", { [file]: lies }, /^model.safetensors: the header is said to have 1000000000 bytes/],
    ["a header that is no JSON", { [file]: header("x", 0) }, /^model.safetensors: the header is not a JSON object/],
    [
      "a tensor of another size",
      { [file]: header({ x: { dtype: "F32", shape: [3], data_offsets: [0, 8] } }, 8) },
      /^model.safetensors: tensor "x": shape \[3\] of F32 needs 12 bytes, but it has 8/,
    ],
    ["changed meanwhile", { [file]: changed() }, /^model.safetensors: it was changed while it was read/],
    ["a host that fails", { [file]: { status: 503 } }, /^model.safetensors: HTTP status 503/],
    [
      "fewer bytes than claimed",
      { [file]: { bytes: weights, ranges: false, claim: weights.length, cut: Array(9).fill(9) } },
      /^model.safetensors: the connection broke/,
    ],
    [
      "an index that is no JSON",
      { "model.safetensors.index.json": Buffer.from("<html>") },
      /^model.safetensors.index.json: it is not JSON/,
    ],
    [
      "an index without a map",
      { "model.safetensors.index.json": Buffer.from("{}") },
      /^model.safetensors.index.json: its weight_map/,
    ],
    [
      "an index that leads away",
      { "model.safetensors.index.json": indexOf({ x: "../secret.safetensors" }) },
      /"..\/secret.safetensors" is not the name/,
    ],
    [
      "a shard missing",
      { ...index, [one]: shards[one] },
      /^model-2-of-2.safetensors: it is missing, but the index lists it: HTTP status 404/,
    ],
    [
      "a tensor in no shard",
      { ...shards, "model.safetensors.index.json": indexOf({ one, two: one, three: two, four: two }) },
      /^model-2-of-2.safetensors: tensor "four" is not in it/,
    ],
    [
      "a tensor in two shards",
      { ...index, [one]: shards[one], [two]: shards[one] },
      /^model-2-of-2.safetensors: tensor "one" is in model-1-of-2.safetensors as well/,
    ],
  ]) {
    it(title, () => withHost(files, (url) => rejects(readAll(url), "invalid-file", message)));
  }
  for (const [title, content, message] of [
    ["HTML", { html: true }, /^config.json: it is missing: the host answers with an HTML page/],
    ["NaN", Buffer.from('{"a": NaN}'), /^config.json: it is not JSON/],
    ["half of it", Buffer.from('{"a": '), /^config.json: it is not JSON/],
    ["no text", Buffer.from([0x22, 0xff, 0x22]), /^config.json: it is not JSON/],
    ["nothing", Buffer.alloc(0), /^config.json: it is not JSON/],
  ]) {
    it(`config.json with ${title}`, () =>
      withHost({ "config.json": content }, (url) =>
        rejects(openFiles(resolveSource(url)).json("config.json", true), "invalid-file", message),
      ));
  }
  it("a host that cannot be reached, after a few tries", async () => {
    const { url, close } = await host({});
    await close();
    await rejects(readAll(url), "invalid-file", /^model.safetensors: http.*cannot be reached: .*ECONNREFUSED/);
  });
  it("a file that is not among those given", () =>
    rejects(
      readAll({ "config.json": config }),
      "invalid-file",
      /^model.safetensors: it is missing: it is not among the files/,
    ));
  it("but a page in place of a file that need not be there is no file", () =>
    withHost({ "tokenizer.json": { html: true } }, async (url) =>
      assert.equal(await openFiles(resolveSource(url)).json("tokenizer.json"), undefined),
    ));
});

describe("the cache in a folder", () => {
  let folder;
  before(async () => (folder = await mkdtemp(join(tmpdir(), "headwise-cache-"))));
  after(() => rm(folder, { recursive: true, force: true }));
  const filesIn = async () =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .sort();

  const openAll = async (url, cache) => {
    const files = openFiles(resolveSource(url), { cache });
    await files.json("config.json", true);
    await files.json("generation_config.json");
    return readAll(url, { cache });
  };

  it("makes a model open without its host, sharded or not, and can be cleared", async () => {
    for (const files of [model, { "config.json": config, ...shards, ...index }]) {
      const server = await host(files);
      const { url } = server;
      const first = await openAll(url, folder);
      assert.equal(await isCached(url, { cache: folder }), true);
      await server.close();
      assert.deepEqual(await openAll(url, folder), first);
      await clearCache(url, { cache: folder });
      assert.equal(await isCached(url, { cache: folder }), false);
      assert.deepEqual(await filesIn(), []);
    }
  });
  it("keeps nothing that is broken or aborted", () =>
    withHost(
      { "config.json": Buffer.from("<html>"), "model.safetensors": weights.subarray(0, 90_000) },
      async (url) => {
        await rejects(openFiles(resolveSource(url), { cache: folder }).json("config.json"), "invalid-file", /JSON/);
        await rejects(readAll(url, { cache: folder }), "invalid-file", /not within/);
        assert.deepEqual(await filesIn(), []);
      },
    ));
  it("keeps all of a file of which only a part is read, and nothing where the loop ends early", () =>
    withHost(model, async (url) => {
      for (const whole of [false, true]) {
        const opened = await openFiles(resolveSource(url), { cache: folder }).weights();
        for await (const _ of opened.stream()) if (!whole) break;
        await new Promise((resolve) => setTimeout(resolve, 50)); // what is left over is deleted in the background
        assert.deepEqual(await filesIn(), whole ? ["model.safetensors"] : []);
      }
      assert.deepEqual(await readAll(url, { cache: folder }), tensors);
      await clearCache(undefined, { cache: folder });
      assert.deepEqual(await readdir(folder), []);
    }));
  it("that cannot be written costs the caching alone", () =>
    withHost(model, async (url) => {
      const file = join(folder, "file");
      await writeFile(file, "in the way");
      assert.deepEqual(await openAll(url, file), tensors);
      assert.equal(await isCached(url, { cache: file }), false);
    }));
  it("has a name", () =>
    rejects(isCached("x/", { cache: true }), "invalid-option", /cache: expected a folder, or false/));
});
