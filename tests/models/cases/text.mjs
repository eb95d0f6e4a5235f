// Text in and text out of opened models, what becomes of it, and what their files say of that.
import { openGolden } from "../goldens.mjs";
import { difference } from "./goldens.mjs";
import { changed, encode, expectError } from "./support.mjs";
import { tokenizer, tokenizerFiles } from "./word_tokenizer.mjs";

export const textCases = [
  {
    name: "stop tokens are those of generation_config.json, of config.json, or none",
    async run({ hw, expect }) {
      const { generation } = await openGolden("gpt2");
      const text = async (source, options) => {
        const model = await hw.openModel(source);
        const tokens = [];
        const asked = { maxTokens: 16, temperature: 0, ...options };
        for await (const token of model.generate(generation.prompt.flat(), asked)) tokens.push(token);
        await model.dispose();
        return tokens;
      };
      const before = (...stop) =>
        generation.new_ids.slice(
          0,
          generation.new_ids.findIndex((id) => stop.includes(id)),
        );
      const [, second, , , fifth, sixth] = generation.new_ids;
      const config = (it) => ({ ...it, eos_token_id: sixth });
      const files = { "generation_config.json": encode({ eos_token_id: [fifth, second] }) };
      expect(await text(await changed("gpt2", { config }))).to.deep.equal(before(sixth));
      expect(await text(await changed("gpt2", { config, files }))).to.deep.equal(before(fifth, second));
      expect(await text(await changed("gpt2", { config, files }), { stop: [] })).to.deep.equal(generation.new_ids);
      expect(await text(await changed("gpt2", { config, files }), { stop: [sixth] })).to.deep.equal(before(sixth));

      const said = async (changes) => {
        const model = await hw.openModel(await changed("gpt2", changes));
        const smaller = await model.prune({ 0: [1] });
        expect(smaller.stopTokens, "a pruned model's").to.deep.equal(model.stopTokens).and.be.frozen;
        await smaller.dispose();
        await model.dispose();
        return model.stopTokens;
      };
      expect(await said({ config })).to.deep.equal([sixth]);
      expect(await said({ config, files })).to.deep.equal([fifth, second]);
      expect(await said({ config: ({ eos_token_id: _, ...it }) => it })).to.deep.equal([]);
    },
  },
  {
    name: "maxTokens cuts the positions, and the model is saved with fewer",
    async run({ hw, expect }) {
      const source = await changed("gpt2");
      const [whole, cut] = [await hw.openModel(source), await hw.openModel(source, { maxTokens: 12 })];
      expect(cut.config.contextLength).to.equal(12);
      const tokens = Int32Array.of(3, 1, 4, 1, 5, 9, 2, 6);
      const logits = async (model) => (await model.forward(tokens)).logits;
      expect(difference(await logits(whole), await logits(cut))).to.equal(0);
      await expectError(expect, "invalid-shape", ["12"], () => cut.forward(new Int32Array(13)));
      const again = await hw.openModel(await cut.save());
      expect(again.config.contextLength).to.equal(12);
      expect(difference(await logits(again), await logits(cut))).to.equal(0);
      for (const model of [whole, cut, again]) await model.dispose();
    },
  },
  {
    name: "dynamic frequencies: texts may be longer than max_position_embeddings, and have another base then",
    async run({ hw, expect }) {
      const positions = (most, rope) => ({
        config: (it) => ({ ...it, max_position_embeddings: most, rope_parameters: rope }),
      });
      const scaled = { rope_type: "dynamic", rope_theta: 1e4, factor: 2 };
      const dynamic = await hw.openModel(await changed("llama3", positions(8, scaled)));
      expect(dynamic.config.contextLength).to.equal(16);
      const tokens = Int32Array.from({ length: 11 }, (_, n) => 3 + 7 * n);
      const D = dynamic.config.headDim;
      for (const [length, base] of [
        [8, 1e4],
        [11, 1e4 * ((2 * 11) / 8 - 1) ** (D / (D - 2))],
      ]) {
        const plain = await hw.openModel(await changed("llama3", positions(16, { rope_theta: base })));
        const [one, other] = [dynamic, plain].map((model) => model.forward(tokens.subarray(0, length)));
        expect(difference((await one).logits, (await other).logits), `${length} tokens`).to.be.at.most(2e-5);
        await plain.dispose();
      }
      await dynamic.dispose();
    },
  },
  {
    name: "embed pools and normalises as the files say, or as it is told; the order of texts does not matter",
    async run({ hw, expect }) {
      const rows = [3, 9, 1, 5].map((length, n) => Int32Array.from({ length }, (_, i) => 5 + ((7 * i + 11 * n) % 90)));
      const modules = [
        { idx: 0, path: "", type: "sentence_transformers.models.Transformer" },
        { idx: 1, path: "1_Pooling", type: "sentence_transformers.models.Pooling" },
        { idx: 2, path: "2_Normalize", type: "sentence_transformers.models.Normalize" },
      ];
      const pooling = { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false };
      const files = { "modules.json": encode(modules), "1_Pooling/config.json": encode(pooling) };
      const model = await hw.openModel(await changed("bert-cls"));
      const asFiles = await hw.openModel(await changed("bert-cls", { files }));
      const hidden = [];
      for (const row of rows) hidden.push((await model.forward(row)).hidden);
      const E = 48;
      const expected = (pool, normalize) => ({
        shape: [rows.length, E],
        data: Float32Array.from(
          hidden.flatMap(({ data }) => {
            const count = data.length / E;
            const at = (i) => [...data.subarray(i * E, (i + 1) * E)];
            const sums = at(0).map((_, e) =>
              Array.from({ length: count }, (_, i) => data[i * E + e]).reduce((a, b) => a + b),
            );
            const vector = { mean: sums.map((x) => x / count), first: at(0), last: at(count - 1) }[pool];
            const length = normalize ? Math.hypot(...vector) : 1;
            return vector.map((x) => x / length);
          }),
        ),
      });
      const check = async (result, ...how) => expect(difference(await result, expected(...how))).to.be.at.most(2e-5);
      await check(model.embed(rows), "mean", false);
      await check(model.embed(rows, { pooling: "last", normalize: true }), "last", true);
      await check(asFiles.embed(rows), "first", true);
      await check(asFiles.embed(rows, { pooling: "mean", normalize: false }), "mean", false);
      const [one, two] = rows;
      const swapped = await model.embed([two, one]);
      expect(difference({ data: swapped.data.slice(E), shape: [1, E] }, await model.embed(one))).to.be.at.most(1e-5);
      const dense = [...modules, { idx: 3, path: "3_Dense", type: "sentence_transformers.models.Dense" }];
      const asked = { ...files, "modules.json": encode(dense) };
      const other = await hw.openModel(await changed("bert-cls", { files: asked }));
      await expectError(expect, "unsupported", ["Dense"], () => other.embed(rows));
      await expectError(expect, "invalid-option", ["tokenizer.json"], () => asFiles.embed("text"));
      for (const each of [model, asFiles, other]) await each.dispose();
    },
  },
  {
    name: "embed takes as many tokens of a text as sentence_bert_config.json says, else as the model has positions",
    async run({ hw, expect }) {
      const text = (count) => Array.from({ length: count }, (_, n) => `word${5 + n}`).join(" ");
      const check = async (files, most, options) => {
        const model = await hw.openModel(
          await changed("roberta-mlm", { files: { ...tokenizerFiles, ...files } }),
          options,
        );
        const cut = await model.embed(text(most));
        expect(difference(await model.embed(text(most + 1)), cut), `${most + 1} tokens`).to.equal(0);
        expect(difference(await model.embed(text(most - 1)), cut), `${most - 1} tokens`).to.be.above(1e-4);
        await model.dispose();
      };
      const short = {
        ...tokenizer,
        truncation: { max_length: 4, strategy: "LongestFirst", stride: 0, direction: "Right" },
      };
      const shortFiles = { "tokenizer.json": encode(short) };
      await check({}, 62); // of 64 positions
      await check({}, 9, { maxTokens: 9 });
      await check(shortFiles, 4);
      await check({ ...shortFiles, "sentence_bert_config.json": encode({ max_seq_length: 6 }) }, 6);
      const model = await hw.openModel(await changed("gpt2", { files: tokenizerFiles }));
      await expectError(expect, "invalid-option", ["texts[1]", "one token"], () => model.embed(["word5", ""]));
      await model.dispose();
    },
  },
  {
    name: "text becomes lower case where sentence_bert_config.json says so",
    async run({ hw, expect }) {
      const cased = encode({ ...tokenizer, normalizer: null });
      for (const lower of [true, false]) {
        const files = { "tokenizer.json": cased, "sentence_bert_config.json": encode({ do_lower_case: lower }) };
        const model = await hw.openModel(await changed("gpt2", { files }));
        const [id] = model.tokenizer.encode("WORD5");
        expect(id === 5, `do_lower_case: ${lower}`).to.equal(lower);
        await model.dispose();
      }
    },
  },
  {
    name: "text goes in, one or several, and comes out token by token",
    async run({ hw, expect }) {
      const model = await hw.openModel(await changed("gpt2", { files: tokenizerFiles }));
      const [short, long] = [Int32Array.of(5, 7), Int32Array.of(9, 11, 13, 15)];
      expect(model.tokenizer.encode("Word5 word7")).to.deep.equal(short);
      const { logits } = await model.forward("word5 word7");
      expect(difference(logits, (await model.forward(short)).logits)).to.equal(0);
      const both = await model.forward(["word5 word7", "word9 word11 word13 word15"], { logits: "last" });
      for (const [n, tokens] of [short, long].entries()) {
        const alone = (await model.forward(tokens, { logits: "last" })).logits;
        const row = { data: both.logits.data.slice(97 * n, 97 * (n + 1)), shape: [1, 97] };
        expect(difference(row, { data: alone.data, shape: [1, 97] }), `text ${n}`).to.be.at.most(2e-5);
      }
      const options = { maxTokens: 8, temperature: 0, stop: [] };
      const [tokens, pieces] = [[], []];
      for await (const token of model.generate(short, options)) tokens.push(token);
      for await (const piece of model.generate("word5 word7", options)) pieces.push(piece);
      expect(pieces.map(({ token }) => token)).to.deep.equal(tokens);
      const whole = model.tokenizer.decode([...short, ...tokens], { specialTokens: false });
      expect(`word5 word7${pieces.map(({ text }) => text).join("")}`).to.equal(whole);
      const vectors = await model.embed(["word5 word7", "word9 word11 word13 word15"]);
      expect(difference(vectors, await model.embed([short, long]))).to.equal(0);
      const pruned = await model.prune({ 0: [0] });
      expect((await pruned.forward("word5")).logits.shape).to.deep.equal([1, 97]);
      for (const each of [model, pruned]) await each.dispose();
    },
  },
  {
    name: "what a model is: its architecture, labels and number format",
    async run({ hw, expect }) {
      const model = await hw.openModel(await changed("bert-cls"));
      const { architecture, dtype, labels, tokenizer } = model;
      expect({ architecture, dtype, labels, tokenizer }).to.deep.equal({
        architecture: "bert",
        dtype: "f32",
        labels: ["LABEL_0", "LABEL_1", "LABEL_2"],
        tokenizer: undefined,
      });
      await model.dispose();
    },
  },
];
