// Tokenizers against Hugging Face's own (tokenizers 0.23.1): byte-level BPE, BPE with byte fallback, WordPiece, Unigram.
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import * as library from "@huggingface/tokenizers";

import { unpack } from "../../tools/goldens.mjs";
import { openTokenizerGolden, tokenizerNames } from "./goldens.mjs";
import { importInternal } from "./internal.mjs";

const { openTokenizer } = await importInternal("models/tokenizer.ts");

describe("tokenizers", () => {
  before(unpack);
  const open = async (name, config) => {
    const { json, golden } = await openTokenizerGolden(name);
    return { json, golden, tokenizer: openTokenizer(library, json, config) };
  };
  const refuses = (work, code, message) =>
    assert.throws(work, (error) => error.code === code && message.test(error.message));

  for (const name of tokenizerNames) {
    it(`${name}: ids, tokens and decoded texts`, async () => {
      const { tokenizer, golden } = await open(name);
      for (const { text, ids, tokens, ids_without_specials, decoded, decoded_skip_special } of golden.texts) {
        assert.deepEqual(tokenizer.encode(text), Int32Array.from(ids), text);
        assert.deepEqual(tokenizer.tokenize(text), { ids: Int32Array.from(ids), tokens }, text);
        assert.deepEqual(tokenizer.encode(text, { specialTokens: false }), Int32Array.from(ids_without_specials));
        assert.equal(tokenizer.decode(Int32Array.from(ids)), decoded);
        assert.equal(tokenizer.decode(ids, { specialTokens: false }), decoded_skip_special);
      }
    });
    it(`${name}: texts that are too long lose tokens of their own, and batches are filled up`, async () => {
      const { tokenizer, golden } = await open(name);
      const { truncated_to_8_padded_to_12: long, short_padded_to_12: short } = golden;
      const { tokens, mask } = tokenizer.encodeBatch([long.text, short.text], { maxTokens: 8 });
      assert.deepEqual(
        [tokens.shape, mask.shape],
        [
          [2, 8],
          [2, 8],
        ],
      );
      const own = ({ ids, attention_mask }) => ids.filter((_, n) => attention_mask[n]);
      assert.deepEqual([...tokens.data.subarray(0, 8)], own(long));
      assert.deepEqual([...tokens.data.subarray(8, 8 + own(short).length)], own(short));
      assert.deepEqual([...mask.data.subarray(8)], short.attention_mask.slice(0, 8));

      const left = tokenizer.encodeBatch([long.text, short.text], { maxTokens: 8, paddingSide: "left" });
      assert.deepEqual([...left.tokens.data.subarray(16 - own(short).length)], own(short));
      assert.deepEqual([...left.mask.data.subarray(8)], short.attention_mask.slice(0, 8).reverse());
    });
  }

  it("decode with transformers' clean-up of spaces only where the files ask for it: it changes two texts of 108", async () => {
    const changed = [];
    for (const name of tokenizerNames) {
      const { tokenizer, golden } = await open(name, { clean_up_tokenization_spaces: true });
      for (const { text, ids, decoded } of golden.texts)
        if (tokenizer.decode(ids) !== decoded) changed.push([name, text]);
    }
    assert.deepEqual(changed, [
      ["bert", "don't we'll 3.14 and 1000000"],
      ["llama", "...!!!???"],
    ]);
  });
  it("do as tokenizer_config.json says", async () => {
    const { tokenizer, json } = await open("bert", {
      model_max_length: 512,
      padding_side: "left",
      truncation_side: "left",
      pad_token: { content: "[PAD]" },
    });
    assert.deepEqual([tokenizer.maxTokens, tokenizer.paddingSide, tokenizer.padId], [512, "left", 0]);
    const text = "the small model reads";
    const all = [...tokenizer.encode(text)];
    assert.deepEqual([...tokenizer.encode(text, { maxTokens: 5 })], [all[0], ...all.slice(-4)]);
    assert.equal(openTokenizer(library, json, { model_max_length: 1e30 }).maxTokens, undefined);
    const both = {
      ...json,
      truncation: { max_length: 128, direction: "Left" },
      padding: { direction: "Left", pad_id: 3 },
    };
    const { maxTokens, paddingSide, padId } = openTokenizer(library, both, { model_max_length: 512 });
    assert.deepEqual([maxTokens, paddingSide, padId], [128, "left", 3]);
  });
  it("refuse what they cannot do", async () => {
    const { tokenizer } = await open("gpt2");
    refuses(() => tokenizer.encode(7), "invalid-option", /text: expected a string, got 7/);
    refuses(() => tokenizer.encodeBatch([]), "invalid-option", /texts/);
    refuses(() => tokenizer.encodeBatch(["a", null]), "invalid-option", /texts\[1\]/);
    refuses(() => tokenizer.encode("a", { special: true }), "invalid-option", /unknown option "special"/);
    refuses(() => tokenizer.encode("a", { maxTokens: 0 }), "invalid-option", /maxTokens/);
    const bert = (await open("bert")).tokenizer;
    refuses(
      () => bert.encode("some text", { maxTokens: 1 }),
      "invalid-option",
      /maxTokens: expected at least the 2 special/,
    );
    refuses(() => tokenizer.decode([1, 5000]), "invalid-option", /no token 5000/);
    refuses(() => tokenizer.decode("x"), "invalid-option", /ids/);
    assert.equal(tokenizer.decode(new Int32Array(0)), "");
    refuses(() => openTokenizer(library, []), "invalid-file", /tokenizer.json: it has no model/);
    refuses(
      () => openTokenizer(library, { model: { type: "Magic" } }),
      "invalid-file",
      /tokenizer.json: it cannot be used/,
    );
    refuses(() => openTokenizer(library, { model: {} }, 7), "invalid-file", /tokenizer_config.json/);
  });
});
