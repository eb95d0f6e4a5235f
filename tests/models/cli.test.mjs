// The command `headwise` on golden models with a tokenizer of words.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseHTML } from "linkedom";

import { load } from "../../dist/index.js";
import { unpack } from "../../tools/goldens.mjs";
import { root } from "../../tools/steps.mjs";
import { tokenizer, tokenizerFiles } from "./cases/word_tokenizer.mjs";
import { goldens } from "./goldens.mjs";
import { host } from "./host.mjs";

describe("the command headwise", () => {
  let folder, hw;
  const at = (...path) => join(folder, ...path);
  const headwise = (...args) =>
    new Promise((resolve) => {
      const child = execFile(process.execPath, [join(root, "dist/cli.js"), ...args], { cwd: folder }, (_, out, err) =>
        resolve({ code: child.exitCode, out, err }),
      );
    });
  const succeed = async (...args) => {
    const { code, out, err } = await headwise(...args);
    assert.equal(code, 0, err);
    return { out, err };
  };
  const open = (name) => hw.openModel(pathToFileURL(`${at(name)}/`));
  /** A host with the hub's addresses, whose model "org/tiny" is a golden model and `files`. */
  async function hub(name, files = {}, revision = "main") {
    const own = await Promise.all(
      (await readdir(at(name))).map(async (file) => [file, await readFile(at(name, file))]),
    );
    const all = Object.entries({ ...Object.fromEntries(own), ...files });
    return host(Object.fromEntries(all.map(([file, given]) => [`org/tiny/resolve/${revision}/${file}`, given])));
  }

  before(async () => {
    await unpack();
    folder = await mkdtemp(join(tmpdir(), "headwise-cli-"));
    for (const name of ["gpt2", "llama3", "bert-mlm"]) {
      await cp(fileURLToPath(new URL(`${name}/`, goldens)), at(name), { recursive: true });
      for (const [file, bytes] of Object.entries(tokenizerFiles)) await writeFile(at(name, file), bytes);
    }
    await cp(fileURLToPath(new URL("gpt2/", goldens)), at("mute"), { recursive: true });
    hw = await load();
  });
  after(async () => {
    hw?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  const pair = "word5 word6 word7|word5 word8 word7|word9|word4";

  it("report: the numbers of headReport as JSON, and nothing else on standard output", async () => {
    const { out, err } = await succeed("report", "gpt2", "--text", "word3 word4 word5", "--pair", pair, "--json");
    const { model, texts, report } = JSON.parse(out);
    assert.deepEqual(model, { name: "gpt2", architecture: "gpt2", layers: 3, numHeads: 4 });
    assert.deepEqual(texts, ["word3 word4 word5"]);
    const own = await open("gpt2");
    const [clean, corrupted, answer, against] = pair.split("|");
    const expected = await hw.headReport(own, texts, { pair: { clean, corrupted, answer, against } });
    assert.deepEqual(report, JSON.parse(JSON.stringify(expected)));
    assert.deepEqual(err.trim().split("\n"), ["Opening gpt2", "Measuring heads"]);
    own.dispose();
  });

  it("report: one page without scripts and without anything from elsewhere, with all heads", async () => {
    await writeFile(at("texts.txt"), "word10 word11 word12 word13\n\nword14 <b>word15\n");
    const { out } = await succeed("report", "gpt2", "--file", "texts.txt", "--pair", pair, "--out", "page.html");
    assert.match(out, /^page.html: 12 heads, \d+ KB\n$/);
    const html = await readFile(at("page.html"), "utf8");
    assert.doesNotMatch(html, /undefined|NaN|\[object|<script|https?:|@import|url\(/);
    const { document } = parseHTML(html);
    assert.equal(document.querySelectorAll(".map").length, 6);
    const images = [...document.querySelectorAll("img")];
    assert.deepEqual(
      images.map((image) => image.getAttribute("title")),
      Array.from({ length: 12 }, (_, n) => `layer ${n >> 2}, head ${n % 4}`),
    );
    assert.ok(images.every((image) => /^data:image\/png;base64,/.test(image.getAttribute("src"))));
    assert.equal(document.querySelectorAll("h2 + .wide tr").length, 13);
    const { code, err } = await headwise("report", "bert-mlm", "--text", "word3 word4");
    assert.equal(code, 0, err);
    assert.ok((await readFile(at("report.html"), "utf8")).includes("Importance (norm)"));
  });

  it("report: a picture is the attention weights of its head", async () => {
    const { inflateSync } = await import("node:zlib");
    const text = "word3 word4 word5 word6";
    await succeed("report", "gpt2", "--text", text, "--out", "maps.html");
    const { document } = parseHTML(await readFile(at("maps.html"), "utf8"));
    const own = await open("gpt2");
    const { weights } = own.forward(text, { capture: { weights: "probabilities" } }).layers[1];
    const [length] = weights.shape.slice(-1);
    const [, base64] = document.querySelectorAll("img")[4 + 2].getAttribute("src").split(",");
    const png = Buffer.from(base64, "base64");
    const data = png.indexOf("IDAT") + 4;
    const pixels = inflateSync(png.subarray(data, data + png.readUInt32BE(data - 8)));
    for (let i = 0; i < length; ++i)
      for (let j = 0; j < length; ++j)
        assert.equal(
          pixels[i * (length + 1) + 1 + j],
          Math.round(255 * weights.data[(2 * length + i) * length + j]),
          `query ${i}, key ${j}`,
        );
    own.dispose();
  });

  it("report: of a long text, the tokens beside the pictures are those that the model reads", async () => {
    await cp(at("llama3"), at("closing"), { recursive: true });
    const config = JSON.parse(await readFile(at("closing", "config.json"), "utf8"));
    await writeFile(at("closing", "config.json"), JSON.stringify({ ...config, max_position_embeddings: 128 }));
    const closed = {
      type: "TemplateProcessing",
      single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "[MASK]", type_id: 0 } }],
      pair: [],
      special_tokens: { "[MASK]": { id: "[MASK]", ids: [2], tokens: ["[MASK]"] } },
    };
    await writeFile(at("closing", "tokenizer.json"), JSON.stringify({ ...tokenizer, post_processor: closed }));
    const own = await open("closing");
    const text = Array.from({ length: 90 }, (_, n) => `word${3 + n}`).join(" ");
    await succeed("report", "closing", "--text", text, "--out", "closing.html");
    const { document } = parseHTML(await readFile(at("closing.html"), "utf8"));
    const shown = [...document.querySelectorAll("h2 + p > code")].map(({ textContent }) => textContent);
    assert.deepEqual(shown, own.tokenizer.tokenize(text, { maxTokens: 64 }).tokens);
    assert.equal(shown.at(-1), "[MASK]");
    own.dispose();
  });

  it("prune: a folder that opens again, with its tokenizer, by every method", async () => {
    const whole = await open("llama3");
    for (const [n, method] of [undefined, "gradient-entropy", "shapley", "learned-gates", "random"].entries()) {
      const more = method ? ["--method", method, "--seed", "3"] : [];
      const text = ["--text", "word3 word4 word5 word9", "--text", "word40 word41 word42"];
      const { out } = await succeed(
        "prune",
        "llama3",
        "--fraction",
        "0.3",
        ...text,
        ...more,
        "--out",
        `p${n}`,
        "--json",
      );
      const { removed, before, after } = JSON.parse(out);
      assert.equal(removed.length, Math.floor(0.3 * whole.config.heads.flat().length), method);
      const smaller = await open(`p${n}`);
      assert.equal(smaller.parameterCount, after.parameters);
      assert.equal(whole.parameterCount, before.parameters);
      assert.deepEqual([...smaller.tokenizer.encode("word3 word4")], [3, 4]);
      const byLayer = Object.fromEntries(
        [0, 1, 2].map((n) => [n, removed.filter(({ layer }) => layer === n).map(({ head }) => head)]),
      );
      const expected = whole.prune(byLayer);
      assert.deepEqual(smaller.forward([3, 4, 5]).logits.data, expected.forward([3, 4, 5]).logits.data);
      smaller.dispose();
      expected.dispose();
    }
    whole.dispose();
    const { out } = await succeed("prune", "bert-mlm", "--count", "2", "--out", "b");
    assert.match(out, /^removed by norm: \d\.\d \d\.\d\nparameters: [\d,]+ → [\d,]+\n/);
  });

  it("convert: every number format, from a folder and from a host with the hub's addresses", async () => {
    const server = await hub("gpt2");
    try {
      const whole = await open("gpt2");
      const logits = whole.forward([3, 4, 5]).logits.data;
      for (const [dtype, allowed] of Object.entries({ f32: 0, f16: 0.02, bf16: 0.2, int8: 0.3 })) {
        const source = dtype === "f16" ? ["org/tiny", "--endpoint", server.url] : ["gpt2"];
        await succeed("convert", ...source, "--dtype", dtype, "--out", dtype);
        const model = await open(dtype);
        assert.equal(model.dtype, { bf16: "bf16", int8: "int8" }[dtype] ?? "f32");
        assert.ok(model.tokenizer !== undefined);
        const apart = model.forward([3, 4, 5]).logits.data.map((value, n) => Math.abs(value - logits[n]));
        assert.ok(Math.max(...apart) <= allowed, `${dtype}: ${Math.max(...apart)}`);
        model.dispose();
      }
      whole.dispose();
    } finally {
      await server.close();
    }
  });

  it("convert: all that stands beside the model comes along; what a host cannot give now is no file that is missing", async () => {
    const beside = {
      "sentence_bert_config.json": '{"max_seq_length":7}',
      "added_tokens.json": "{}",
      "modules.json": '[{"type":"models.Transformer","path":""},{"type":"models.Pooling","path":"pool"}]',
      "pool/config.json": '{"pooling_mode_cls_token":true}',
    };
    const files = Object.fromEntries(Object.entries(beside).map(([file, text]) => [file, Buffer.from(text)]));
    let server = await hub("bert-mlm", files);
    try {
      const convert = (out) => ["convert", "org/tiny", "--endpoint", server.url, "--dtype", "int8", "--out", out];
      await succeed(...convert("sentences"));
      for (const [file, text] of Object.entries(beside))
        assert.equal(await readFile(at("sentences", file), "utf8"), text);
      await succeed("convert", "sentences", "--dtype", "f32", "--out", "again");
      assert.equal(await readFile(at("again/pool/config.json"), "utf8"), beside["pool/config.json"]);
      await server.close();

      server = await hub("gpt2", { "special_tokens_map.json": { status: 429 } });
      const { code, err } = await headwise(...convert("busy"));
      assert.equal(code, 1, err);
      assert.match(err, /^headwise: special_tokens_map.json: HTTP status 429$/m);
      assert.ok(!(await readdir(folder)).includes("busy"));
      await server.close();

      const outside = '[{"type":"models.Dense","path":"../outside"}]';
      server = await hub("bert-mlm", { "modules.json": Buffer.from(outside) });
      const refused = await headwise(...convert("apart"));
      assert.equal(refused.code, 1, refused.err);
      assert.match(refused.err, /^headwise: modules.json: "..\/outside" is not a folder beside it$/m);
    } finally {
      await server.close();
    }
  });

  it("convert: with --cache a second time without the host, also where names look like numbers", async () => {
    const server = await hub("gpt2", {}, "2024");
    const convert = ["convert", "org/tiny", "--endpoint", server.url, "--revision", "2024", "--cache", "1"];
    try {
      await succeed(...convert, "--dtype", "f32", "--out", "online");
    } finally {
      await server.close();
    }
    await succeed(...convert, "--dtype", "f32", "--out", "offline");
    const [online, offline] = await Promise.all(["online", "offline"].map((name) => readdir(at(name))));
    assert.deepEqual(offline, online);
    assert.ok(offline.includes("tokenizer.json"));
  });

  it("says what is wrong, and what to do", async () => {
    const closed = ["--endpoint", "http://127.0.0.1:9/"];
    for (const [code, part, ...args] of [
      [2, "no command reprot; there are report, prune and convert", "reprot"],
      [2, "missing required args", "report"],
      [2, "Unknown option `--texd`", "report", "gpt2", "--texd", "x"],
      [2, "headwise report --help", "report", "gpt2"],
      [2, "there is no such folder", "report", "no/such/folder", "--text", "word3"],
      [1, "no/where is no folder here, and as a name on Hugging Face", "report", "no/where", "--text", "a", ...closed],
      [2, '"clean|corrupted|answer|distractor"', "report", "gpt2", "--pair", "a|b"],
      [1, "one token", "report", "gpt2", "--pair", "word3|word4|word5 word6|word7"],
      [2, "no tokenizer.json", "report", "mute", "--text", "word3"],
      [2, "no tokenizer.json", "prune", "mute", "--count", "1", "--out", "x"],
      [2, "--fraction", "prune", "gpt2", "--out", "x"],
      [2, '--fraction: expected a number, got "much"', "prune", "gpt2", "--fraction", "much", "--out", "x"],
      [1, "<= 1, got 2", "prune", "gpt2", "--fraction", "2", "--out", "x"],
      [2, "gradient-entropy", "prune", "gpt2", "--count", "1", "--method", "best", "--out", "x"],
      [2, "expected norm", "prune", "bert-mlm", "--count", "1", "--method", "shapley", "--out", "x"],
      [2, "--out: expected a folder", "prune", "gpt2", "--count", "1"],
      [2, "is the model that is read", "convert", "gpt2", "--dtype", "int8", "--out", "./gpt2"],
      [
        2,
        '--dtype: expected one of f32, f16, bf16, int8, got "int4"',
        "convert",
        "gpt2",
        "--dtype",
        "int4",
        "--out",
        "x",
      ],
    ]) {
      const { code: given, out, err } = await headwise(...args);
      assert.equal(given, code, `${args.join(" ")}: ${err}`);
      assert.ok(err.includes(part), `${args.join(" ")}: ${err}`);
      assert.equal(out, "");
    }
    assert.ok(!(await readdir(folder)).includes("x"), "what fails writes nothing");
    const { out } = await succeed();
    assert.match(out, /report <model>[^]*prune <model>[^]*convert <model>/);
    assert.match((await succeed("prune", "--help")).out, /--fraction <share>/);
  });
});
