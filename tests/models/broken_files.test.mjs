// Broken files, and hosts that answer with something else.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { host } from "./host.mjs";
import {
  config,
  index,
  indexOf,
  one,
  openFiles,
  readAll,
  rejects,
  resolveSource,
  shards,
  two,
  weights,
  withHost,
} from "./small_files.mjs";

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
      { [file]: { bytes: Buffer.from("<!doctype html><h1>hi</h1>"), ranges: false, length: false } },
      /^model.safetensors: the header is said to have \d+ bytes, more than a safetensors file may have/,
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
