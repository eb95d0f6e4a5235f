// What a family's table does not know is refused by its name; what a file says wrongly, with the file's name.
import { changed, encode, expectError } from "./support.mjs";

/** Options that a table does not know, by model. */
const options = {
  gpt2: [
    { scale_attn_by_inverse_layer_idx: true },
    { scale_attn_weights: false },
    { add_cross_attention: true },
    { activation_function: "mish" },
    { quantization_config: { bits: 4 } },
    { a_new_option: 1 },
    { architectures: ["GPT2ForSequenceClassification"] },
    { tie_word_embeddings: false },
  ],
  gpt_neo: [{ attention_layers: ["global", "ring", "global", "local"] }, { a_new_option: [] }],
  gpt_neox: [{ hidden_act: "tanh" }, { rope_scaling: { type: "linear", factor: 2 } }, { a_new_option: true }],
  llama3: [
    { rope_parameters: { rope_theta: 1e4, rope_type: "longrope" } },
    { rope_parameters: { rope_theta: 1e4, rope_type: "linear", factor: 2, a_new_option: 1 } },
    { rope_parameters: { rope_theta: 1e4, rope_type: "dynamic", factor: 2, original_max_position_embeddings: 16 } },
    { rope_scaling: { type: "linear", factor: 2 } }, // beside rope_parameters
    { rope_interleaved: true },
    { position_embedding_type: "relative_key" },
    { is_decoder: true },
  ],
  mistral: [{ attention_bias: true }],
  qwen2: [{ use_sliding_window: true }, { layer_types: ["full_attention", "sliding_attention", "full_attention"] }],
  qwen3: [{ layer_types: ["sliding_attention", "full_attention", "full_attention"] }],
  gemma2: [{ use_bidirectional_attention: true }, { attention_bias: true }],
  gemma3: [{ attn_logit_softcapping: 50 }, { layer_types: ["chunked_attention", "full_attention", "full_attention"] }],
  phi3: [{ attention_bias: true }, { rope_parameters: { rope_theta: 1e4, rope_type: "yarn", factor: 2 } }],
  smollm3: [{ no_rope_layers: [1, 2, 0] }],
  "bert-mlm": [{ position_embedding_type: "relative_key_query" }, { is_decoder: true }, { hidden_act: "glu" }],
  "roberta-mlm": [{ hidden_act: "relu" }],
  "distilbert-cls": [{ architectures: ["DistilBertForTokenClassification"] }],
  "modernbert-mlm": [{ classifier_activation: "relu" }, { classifier_bias: true }],
  vit: [{ pooler_act: "relu" }],
  dinov2: [{ use_swiglu_ffn: true }],
};

/** The name that the message must have: the last option's. */
const nameOf = (option) => {
  const name = Object.keys(option).at(-1);
  const within = ["a_new_option", "original_max_position_embeddings", "rope_type"];
  return name === "rope_parameters" ? within.find((each) => each in option[name]) : name;
};

/** Options of files on Hugging Face that change nothing: of distilgpt2, gpt2-medium, bert-base-chinese, ModernBERT-base, and CLIP's. */
const harmless = {
  gpt2: { _num_labels: 1, n_special: 0, predict_special_tokens: true, tf_legacy_loss: false },
  "bert-mlm": {
    ...{ directionality: "bidi", pooler_fc_size: 768, pooler_num_attention_heads: 12, pooler_num_fc_layers: 3 },
    ...{ pooler_size_per_head: 128, pooler_type: "first_token_transform" },
  },
  "modernbert-mlm": { layer_norm_eps: 1e-5 },
  vit: { tie_word_embeddings: true },
  clip: {
    tie_word_embeddings: true,
    text_config: { tie_word_embeddings: true, tf_legacy_loss: false, pruned_heads: {}, typical_p: 1 },
    vision_config: { tie_word_embeddings: true, tf_legacy_loss: false, pruned_heads: {}, typical_p: 1 },
  },
};

/** The options with others added, those of a part to that part. */
const withOptions = (config, options) =>
  Object.fromEntries(
    Object.entries({ ...config, ...options }).map(([name, value]) => [
      name,
      name.endsWith("_config") ? { ...config[name], ...value } : value,
    ]),
  );

/** Files that say something wrong. */
const broken = {
  "no model_type": { config: ({ model_type: _, ...rest }) => rest, parts: ["config.json", "model_type"] },
  "no hidden size": { config: ({ n_embd: _, ...rest }) => rest, parts: ["config.json", "n_embd", "missing"] },
  "heads that do not divide": { config: (it) => ({ ...it, n_head: 5 }), parts: ["config.json", "5"] },
  "more layers than can be": { config: (it) => ({ ...it, n_layer: 1e15 }), parts: ["config.json", "n_layer", "1000"] },
  "no options": { config: () => null, parts: ["config.json: expected an object, got null"] },
  "layers that are no number": { config: (it) => ({ ...it, n_layer: "3" }), parts: ["config.json", "n_layer"] },
  "pruned heads of no layer": { config: (it) => ({ ...it, pruned_heads: { "": [1] } }), parts: ["pruned_heads"] },
  "pruned heads that are none": { config: (it) => ({ ...it, pruned_heads: { 0: [9] } }), parts: ["pruned_heads"] },
  "a tensor that is missing": {
    tensors: ({ "transformer.h.1.ln_2.bias": _, ...rest }) => rest,
    parts: ["model.safetensors", "transformer.h.1.ln_2.bias", "missing"],
  },
  "a tensor of another shape": {
    config: (it) => ({ ...it, n_inner: 96 }),
    parts: ["model.safetensors", "transformer.h.0.mlp.c_", "96", "80"],
  },
};

export const refusalCases = [
  ...Object.entries(options).map(([name, list]) => ({
    name: `${name}: options that its table does not know are refused by name`,
    async run({ hw, expect }) {
      for (const option of list) {
        const source = await changed(name, { config: (it) => ({ ...it, ...option }) });
        await expectError(expect, "unsupported", [nameOf(option)], () => hw.openModel(source));
      }
      expect((await hw.memory()).liveObjects).to.equal(0);
    },
  })),
  ...Object.entries(harmless).map(([name, options]) => ({
    name: `${name}: options that change nothing are read over`,
    async run({ hw }) {
      const source = await changed(name, { config: (it) => withOptions(it, options) });
      for (const tower of name === "clip" ? ["text", "vision"] : [undefined])
        await (await hw.openModel(source, { tower })).dispose();
    },
  })),
  {
    name: "clip: what a tower's options leave out is transformers' default",
    async run({ hw, expect }) {
      const config = (it) => ({ ...it, text_config: {}, vision_config: {} });
      const source = await changed("clip", { config });
      await expectError(expect, "invalid-file", ["expected shape [77, 512]"], () =>
        hw.openModel(source, { tower: "text" }),
      );
      await expectError(expect, "invalid-file", ["expected shape [768]"], () =>
        hw.openModel(source, { tower: "vision" }),
      );
    },
  },
  {
    name: "tensors that a table does not know are refused by name, and tied ones that differ",
    async run({ hw, expect }) {
      const one = { data: new Float32Array(48), shape: [48] };
      for (const [name, tensor] of [
        ["gpt2", "transformer.h.0.attn.q_norm.weight"],
        ["llama3", "model.layers.0.self_attn.q_proj.bias"],
        ["bert-mlm", "qa_outputs.weight"],
        ["vit", "embeddings.register_tokens"],
        ["clip-text", "text_model.encoder.layers.0.extra"],
      ]) {
        const source = await changed(name, { tensors: (it) => ({ ...it, [tensor]: one }) }).catch(() => undefined);
        if (source) await expectError(expect, "unsupported", [tensor], () => hw.openModel(source));
      }
      const differs = (it) => {
        const { data, shape } = it["transformer.wte.weight"];
        return { ...it, "lm_head.weight": { data: data.map((value) => value + 1), shape } };
      };
      const tied = await changed("gpt2", { tensors: differs });
      await expectError(expect, "unsupported", ["lm_head.weight"], () => hw.openModel(tied));
      expect((await hw.memory()).liveObjects).to.equal(0);
    },
  },
  {
    name: "tensors that are known to hold no parameters, and tied ones that are the same, change nothing",
    async run({ hw, expect }) {
      const zeros = (...shape) => ({ data: new Float32Array(shape.reduce((a, b) => a * b)), shape });
      const more = (it) => ({
        ...it,
        "lm_head.weight": it["transformer.wte.weight"],
        "transformer.h.0.attn.bias": zeros(1, 1, 8, 8),
        "transformer.h.0.attn.masked_bias": zeros(1),
      });
      const model = await hw.openModel(await changed("gpt2", { tensors: more }));
      expect(Object.keys(await model.parameters())).to.not.include("head.weight");
      await model.dispose();
      const bare = (it) =>
        Object.fromEntries(Object.entries(it).map(([name, t]) => [name.replace("transformer.", ""), t]));
      const named = await hw.openModel(await changed("gpt2", { tensors: bare }));
      await named.dispose();
    },
  },
  ...Object.entries(broken).map(([what, { config, tensors, parts }]) => ({
    name: `a file with ${what} is refused as broken, and the instance lives on`,
    async run({ hw, expect }) {
      const source = await changed("gpt2", { config, tensors });
      await expectError(expect, "invalid-file", parts, () => hw.openModel(source));
      await (await hw.openModel(await changed("gpt2"))).dispose();
      expect((await hw.memory()).liveObjects).to.equal(0);
    },
  })),
  {
    name: "lists of config.json that are too long or of no length are refused, of every family that makes lists",
    async run({ hw, expect }) {
      const refused = async (name, code, part, change) =>
        expectError(expect, code, [part], async () => hw.openModel(await changed(name, { config: change })));
      const many = ({ layer_types: _, no_rope_layers: __, ...it }) => ({ ...it, num_hidden_layers: 4294967296 });
      for (const name of ["mistral", "gemma2", "gemma3", "modernbert-mlm", "smollm3"])
        await refused(name, "invalid-file", "num_hidden_layers", many);
      const types = ({ attention_layers: _, ...it }) => ({ ...it, attention_types: [[["global"], -1]] });
      await refused("gpt_neo", "unsupported", "attention_types", types);
      for (const count of [1e9, -1, "3"])
        await refused("bert-cls", "invalid-file", "num_labels", ({ id2label: _, ...it }) => ({
          ...it,
          num_labels: count,
        }));
    },
  },
  {
    name: "openModel refuses wrong options, and files that are not there",
    async run({ hw, expect }) {
      const source = await changed("gpt2");
      const refused = (code, parts, options, from = source) =>
        expectError(expect, code, parts, () => hw.openModel(from, options));
      await refused("invalid-option", ["dtype", "f64"], { dtype: "f64" });
      await refused("invalid-option", ["tower"], { tower: "left" });
      await refused("invalid-option", ["tower", "gpt2"], { tower: "text" });
      await refused("invalid-option", ["maxTokens", "64"], { maxTokens: 65 });
      await refused("invalid-option", ["maxToken"], { maxToken: 5 });
      await refused("invalid-option", ["key"], { key: 5 });
      await refused("invalid-option", ["tower", "text", "vision"], {}, await changed("clip"));
      await refused("invalid-file", ["config.json", "missing"], {}, {});
      await refused("unsupported", ["t5"], {}, { ...source, "config.json": encode({ model_type: "t5" }) });
      await refused("invalid-file", ["config.json", "JSON"], {}, { ...source, "config.json": encode("<html>") });
    },
  },
  {
    name: "an aborted openModel leaves nothing",
    async run({ hw, expect }) {
      const source = await changed("gpt2");
      const controller = new AbortController();
      const options = { signal: controller.signal, onProgress: () => controller.abort() };
      await expectError(expect, "aborted", [], () => hw.openModel(source, options));
      await (await hw.openModel(source)).dispose();
      expect((await hw.memory()).liveObjects).to.equal(0);
    },
  },
];
