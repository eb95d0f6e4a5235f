// The cache of a model's files in a folder.
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { host } from "./host.mjs";
import {
  clearCache,
  config,
  index,
  isCached,
  model,
  openFiles,
  readAll,
  rejects,
  resolveSource,
  shards,
  tensors,
  weights,
  withHost,
} from "./small_files.mjs";

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
  it("gives the bytes of any file without its host, and knows which there are not", async () => {
    const server = await host({ ...model, "merges.txt": Buffer.from("a b") });
    const files = openFiles(resolveSource(server.url), { cache: folder });
    const check = async () => {
      assert.equal(String(Buffer.from(await files.bytes("merges.txt"))), "a b");
      assert.deepEqual(Buffer.from(await files.bytes("config.json")), config);
      assert.equal(await files.bytes("vocab.txt"), undefined);
    };
    await check();
    await server.close();
    await check();
    await clearCache(undefined, { cache: folder });
  });
  it("keeps nothing that is broken or aborted", () =>
    withHost(
      { "config.json": Buffer.from("<html>"), "model.safetensors": weights.subarray(0, 90_000) },
      async (url) => {
        const files = openFiles(resolveSource(url), { cache: folder });
        await rejects(files.json("config.json"), "invalid-file", /JSON/);
        await rejects(files.bytes("config.json"), "invalid-file", /JSON/);
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
