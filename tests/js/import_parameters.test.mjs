// importParameters: what it reads of a file, what it passes over and what it refuses.
import { describe, it } from "node:test";
import { expect } from "chai";

import { importParameters, readSafetensors, writeSafetensors } from "../../dist/index.js";
import { expectError } from "./cases/support.mjs";
import { dictOf, E, forms } from "./foreign_forms.mjs";
import { product, random } from "./reference.mjs";

describe("importParameters", () => {
  const dict = dictOf(forms.llama.shapes);
  const importing = (tensors, options) => () => importParameters(tensors, { layout: "llama", numHeads: 4, ...options });

  it("turns GPT-2's weights, and cuts them into queries, keys and values", () => {
    const count = (shape, from) => ({ data: new Float32Array(product(shape)).map((_, n) => from + n), shape });
    const { config, parameters } = importParameters(
      {
        "h.0.attn.c_attn.weight": count([2, 6], 0), // Conv1D: [in, out]
        "h.0.attn.c_attn.bias": count([6], 100),
        "h.0.attn.c_proj.weight": count([2, 2], 200),
        "h.0.attn.c_proj.bias": count([2], 300),
      },
      { layout: "gpt2", prefix: "h.0", numHeads: 2 },
    );
    expect(config).to.deep.equal({ embedDim: 2, numHeads: 2, headDim: 1, bias: true });
    const numbers = Object.fromEntries(Object.entries(parameters).map(([name, { data }]) => [name, [...data]]));
    expect(numbers).to.deep.equal({
      "q_proj.weight": [0, 6, 1, 7],
      "q_proj.bias": [100, 101],
      "k_proj.weight": [2, 8, 3, 9],
      "k_proj.bias": [102, 103],
      "v_proj.weight": [4, 10, 5, 11],
      "v_proj.bias": [104, 105],
      "out_proj.weight": [200, 202, 201, 203],
      "out_proj.bias": [300, 301],
    });
  });

  it("reads of a file what it needs, and nothing else", () => {
    const names = [...Object.keys(dict), "mlp.weight", "self_attn.rotary_emb.inv_freq"].map((name) => `h.1.${name}`);
    const read = [];
    const file = { names, tensor: (name) => read.push(name) && dict[name.slice(4)] };
    const { parameters } = importing(file, { prefix: "h.1" })();
    expect(read).to.have.members(names.slice(0, 4)).and.have.length(4);
    expect(Object.keys(parameters)).to.have.members([
      "q_proj.weight",
      "k_proj.weight",
      "v_proj.weight",
      "out_proj.weight",
    ]);
  });

  it("takes half floats as the numbers that they are", () => {
    for (const dtype of ["F16", "BF16"]) {
      const file = readSafetensors(writeSafetensors(dict, { dtype }));
      const rounded = Object.fromEntries(file.names.map((name) => [name, file.tensor(name)]));
      expect(importing(file)()).to.deep.equal(importing(rounded)());
      expect(rounded["self_attn.q_proj.weight"].data[0]).to.not.equal(dict["self_attn.q_proj.weight"].data[0]);
    }
  });

  it("takes tensors with dims", () => {
    const foreign = Object.fromEntries(
      Object.entries(dict).map(([name, { data, shape: dims }]) => [name, { data, dims }]),
    );
    expect(importing(foreign)()).to.deep.equal(importing(dict)());
  });

  it("copies nothing of a file that it need not turn", () => {
    const { shapes, options } = forms["torch, packed"];
    const bytes = writeSafetensors(dictOf(shapes));
    const { parameters } = importParameters(readSafetensors(bytes), options);
    for (const { data } of Object.values(parameters)) expect(data.buffer).to.equal(bytes.buffer);
  });

  it("refuses variants that compute something else", async () => {
    const variants = {
      "torch, packed": ["bias_k", "bias_v", "q_proj_weight", "out_proj.lora_A.default.weight"],
      "torch, separate": ["bias_k", "parametrizations.q_proj_weight.0._v"],
      bert: [
        "attention.self.distance_embedding.weight", // relative positions
        "attention.self.query_global.weight", // Longformer
        "attention.self.conv_kernel_layer.weight", // ConvBERT
        "attention.self.rotary_embeddings.inv_freq", // ESM
        "attention.self.query.lora_A.default.weight",
        "attention.output.adapters.task.adapter_down.0.weight",
        "adapter.weight",
      ],
      gpt2: ["attn.q_attn.weight", "attn.c_attn.lora_A.default.weight", "attn.alibi", "attn.rotary_emb.inv_freq"],
      "llama, one group, biases": ["self_attn.o_proj.bias"],
      llama: [
        "self_attn.q_norm.weight", // Qwen3
        "self_attn.query_layernorm.weight", // Hunyuan
        "self_attn.q_layernorm.norms.0.weight", // StableLM
        "self_attn.attn_sub_norm.weight", // BitNet
        "self_attn.lambda_q1", // DiffLlama
        "self_attn.sinks", // gpt-oss
        "self_attn.q_proj.lora_A.default.weight",
        "self_attn.q_proj.weight_scale", // a quantised weight's
        "self_attn.anything",
        "attn_gate.weight",
      ],
    };
    for (const [form, names] of Object.entries(variants)) {
      const { shapes, options } = forms[form];
      for (const name of names) {
        const tensors = { ...dictOf(shapes), [name]: random([E], 1) };
        await expectError(expect, "invalid-option", [name, `layout "${options.layout}" has no`], () =>
          importParameters(tensors, options),
        );
      }
    }
  });

  it("passes over what files of a layout have beside the attention", () => {
    const weightAndBias = (...names) => names.flatMap((name) => [`${name}.weight`, `${name}.bias`]);
    const beside = {
      bert: weightAndBias("attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"),
      gpt2: ["attn.bias", "attn.masked_bias", ...weightAndBias("ln_1", "ln_2", "mlp.c_fc", "mlp.c_proj")],
      llama: [
        ...["self_attn.rotary_emb.inv_freq", "input_layernorm.weight", "post_attention_layernorm.weight"],
        ...["pre_feedforward_layernorm.weight", "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight"],
      ],
    };
    for (const [form, names] of Object.entries(beside)) {
      const { shapes, options } = forms[form];
      const dict = Object.entries(dictOf(shapes));
      const others = names.map((name) => [name, random([E], 1)]);
      const layer = (n, entries) => entries.map(([name, tensor]) => [`h.${n}.${name}`, tensor]);
      const variant = [["self_attn.sinks", random([4], 1)]]; // of another layer
      const model = Object.fromEntries([...layer(1, [...dict, ...others]), ...layer(11, variant)]);
      const { parameters } = importParameters(model, { ...options, prefix: "h.1" });
      expect(parameters).to.deep.equal(importParameters(Object.fromEntries(dict), options).parameters);
    }
  });

  it("says what is wrong with its arguments", async () => {
    const query = "self_attn.q_proj.weight";
    const wrong = [
      ["invalid-option", ["layout", '"torch", "bert", "gpt2", "llama"', '"t5"'], dict, { layout: "t5" }],
      ["invalid-option", ["numHeads", "undefined"], dict, { numHeads: undefined }],
      ["invalid-option", ["numHeads", "0"], dict, { numHeads: 0 }],
      ["invalid-option", ["numKvHeads", "1 to 4", "5"], dict, { numKvHeads: 5 }],
      ["invalid-shape", ["numKvHeads", "3", "4"], dict, { numKvHeads: 3 }],
      ["invalid-shape", ["self_attn.k_proj.weight", "[12, 24]", "[24, 24]"], dict, { numKvHeads: 2 }],
      ["invalid-option", ["numKvHeads", "4", "2", '"bert"'], dict, { layout: "bert", numKvHeads: 2 }],
      ["invalid-option", ["prefix", "a string", "3"], dict, { prefix: 3 }],
      ["invalid-option", ["importParameters", '"heads"'], dict, { heads: 3 }],
      ["invalid-option", ["importParameters", "tensors by name", "undefined"], undefined, {}],
      ["invalid-option", ["h.2.self_attn.q_proj.weight: missing"], dict, { prefix: "h.2" }],
      ["invalid-shape", [query, "[7 * D, E]", "[24, 24]"], dict, { numHeads: 7 }],
      ["invalid-shape", [query, "[4 * D, E]", "[24, 0]"], { ...dict, [query]: random([24, 0], 1) }, {}],
      ["invalid-shape", [query, "[4 * D, E]", "[0, 24]"], { ...dict, [query]: random([0, 24], 1) }, {}],
      ["invalid-shape", [query, "[4 * D, E]", "[1, 24, 24]"], { ...dict, [query]: random([1, 24, 24], 1) }, {}],
      [
        "invalid-shape",
        [query, "needs 4", "3"],
        { ...dict, [query]: { data: new Float32Array(3), shape: [2, 2] } },
        {},
      ],
      ["invalid-option", [query, "Float32Array"], { ...dict, [query]: { data: [1], shape: [1] } }, {}],
    ];
    for (const [code, parts, tensors, options] of wrong)
      await expectError(expect, code, parts, importing(tensors, options));
    const packed = dictOf(forms.gpt2.shapes);
    await expectError(expect, "invalid-shape", ["attn.c_attn.weight", "[E, 15 * D]", "[24, 72]"], () =>
      importParameters(packed, { layout: "gpt2", numHeads: 5 }),
    );
    const nothing = { ...dictOf(forms["torch, separate"].shapes), k_proj_weight: random([E, 0], 1) };
    await expectError(expect, "invalid-shape", ["k_proj_weight", "[24, 24]", "[24, 0]"], () =>
      importParameters(nothing, { layout: "torch", numHeads: 4 }),
    );
    const doubles = new Uint8Array([...writeSafetensors(dict)]);
    const at = Buffer.from(doubles.buffer).indexOf('F32","shape":[24,24]');
    doubles.set(Buffer.from('X32","shape":[24,24]'), at);
    await expectError(expect, "invalid-file", ["self_attn.q_proj.weight", "X32"], importing(readSafetensors(doubles)));
  });
});
