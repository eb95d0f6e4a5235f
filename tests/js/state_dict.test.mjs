// importParameters and exportParameters, against the attention that each layout's library computes.
import { after, before, describe, it } from "node:test";
import { expect } from "chai";

import { exportParameters, importParameters, load, readSafetensors, writeSafetensors } from "../../dist/index.js";
import * as worker from "../../dist/worker.js";
import { expectClose, expectError } from "./cases/support.mjs";
import { foreignAttention } from "./foreign_attention.mjs";
import { dictOf, E, forms } from "./foreign_forms.mjs";
import { product, random } from "./reference.mjs";

const bitsOf = ({ data, shape }) => ({ shape, bits: new Uint32Array(data.slice().buffer) });
const allBits = (tensors) => Object.fromEntries(Object.entries(tensors).map(([name, value]) => [name, bitsOf(value)]));

/** The same shapes filled with all kinds of bits: NaN with payloads, infinities, subnormals. */
function anyBits(tensors) {
  const fill = ({ shape }, n) => {
    const bits = Uint32Array.from({ length: product(shape) }, (_, at) => Math.imul(at + 1, 0x9e3779b1) ^ n);
    bits.set([0x7f800001, 0xff812345, 0x7fc00001, 0x80000000, 1].slice(0, bits.length));
    return { data: new Float32Array(bits.buffer), shape };
  };
  return Object.fromEntries(Object.entries(tensors).map(([name, value], n) => [name, fill(value, n)]));
}

async function messageOf(call) {
  try {
    await call();
  } catch (error) {
    return `${error.code} ${error.message}`;
  }
}

let hw;
before(async () => (hw = await load({ threads: 1 })));
after(() => hw.dispose());

function moduleOf({ config, parameters }) {
  const mha = hw.multiHeadAttention(config);
  mha.setParameters(parameters);
  return mha;
}

for (const [title, { options, shapes, config }] of Object.entries(forms)) {
  describe(title, () => {
    const dict = dictOf(shapes);
    const { layout, numHeads, numKvHeads } = options;

    it("is imported as what its library computes", () => {
      const state = importParameters(dict, options);
      expect(state.config).to.deep.equal({ embedDim: E, numHeads, ...config });
      const query = random([2, 5, E], 1);
      const memory = config.keyDim
        ? [random([2, 7, config.keyDim], 2), random([2, 7, config.valueDim], 3)]
        : [random([2, 7, E], 2), random([2, 7, E], 3)];
      const inputs = layout === "gpt2" ? [query, query, query] : [query, ...memory];
      const { output } = moduleOf(state).forward(...inputs);
      expectClose(expect, output, (round) => foreignAttention[layout](dict, inputs, numHeads, round, numKvHeads));
    });

    it("comes back from an export bit for bit, and so through a file", () => {
      const tensors = anyBits(dict);
      const state = importParameters(tensors, { ...options, prefix: "" });
      expect(allBits(exportParameters(state, { layout }))).to.deep.equal(allBits(tensors));
      const file = readSafetensors(writeSafetensors(exportParameters(state, { layout, prefix: "h.0" })));
      expect(file.names).to.have.members(Object.keys(dict).map((name) => `h.0.${name}`));
      const again = importParameters(file, { ...options, prefix: "h.0." });
      expect(again.config).to.deep.equal(state.config);
      expect(allBits(again.parameters)).to.deep.equal(allBits(state.parameters));
    });

    it("comes back from a module bit for bit", () => {
      const quiet = (bits) => ((bits & 0x7f800000) === 0x7f800000 ? bits | 0x400000 : bits); // the core packs by multiplying
      const tensors = anyBits(dict);
      for (const { data } of Object.values(tensors))
        new Uint32Array(data.buffer).forEach((b, n, bits) => (bits[n] = quiet(b)));
      const mha = moduleOf(importParameters(tensors, options));
      expect(allBits(exportParameters(mha, { layout }))).to.deep.equal(allBits(tensors));
    });

    it("names what is missing, and what has another shape beside the shape expected", async () => {
      const importing = (tensors) => () => importParameters(tensors, { ...options, prefix: "a.b" });
      const prefixed = Object.fromEntries(Object.entries(dict).map(([name, value]) => [`a.b.${name}`, value]));
      for (const [name, { shape }] of Object.entries(dict)) {
        const { [`a.b.${name}`]: _, ...rest } = prefixed;
        await expectError(expect, "invalid-option", [`a.b.${name}: missing`, layout], importing(rest));
        const wrong = shape.map((extent) => extent + 1);
        const message = await messageOf(importing({ ...prefixed, [`a.b.${name}`]: random(wrong, 1) }));
        expect(message).to.match(/^invalid-shape a\.b\.\S+: expected \[.*\], got shape \[.*\]$/);
        // One that widths are taken from may be named by another that does not fit it.
        if (!/q_proj|query|in_proj_weight|c_attn.weight|[kv]_proj_weight/.test(name))
          expect(message).to.equal(
            `invalid-shape a.b.${name}: expected [${shape.join(", ")}], got shape [${wrong.join(", ")}]`,
          );
        const vector = { ...prefixed, [`a.b.${name}`]: random([product(shape)], 1) };
        if (shape.length === 2) expect(await messageOf(importing(vector))).to.contain(`a.b.${name}: expected [`);
      }
    });
  });
}

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

describe("exportParameters", () => {
  it("refuses what a layout cannot hold, and says why", async () => {
    const wide = { embedDim: 12, numHeads: 4 };
    const refusals = [
      ["torch", { ...wide, valueHeadDim: 7 }, ["valueHeadDim", "3", "7"]],
      ["torch", { ...wide, outputDim: 13 }, ["outputDim", "12", "13"]],
      ["torch", { ...wide, bias: "qkv" }, ["bias", "false or true", '"qkv"']],
      ["torch", { ...wide, scale: 0.4 }, ["scale", "0.57", "0.4"]],
      ["bert", { ...wide, bias: false }, ["bias", "true", "false"]],
      ["bert", { ...wide, keyDim: 9 }, ["keyDim", "12", "9"]],
      ["bert", { ...wide, valueDim: 11 }, ["valueDim", "12", "11"]],
      ["gpt2", { ...wide, bias: "qkv" }, ["bias", "true", '"qkv"']],
      ["llama", wide, ["bias", 'false or "qkv"', "true"]],
      ["llama", { ...wide, bias: false, valueHeadDim: 2 }, ["valueHeadDim", "3", "2"]],
    ];
    for (const [layout, config, parts] of refusals) {
      const mha = hw.multiHeadAttention(config);
      const all = [...parts, `layout "${layout}"`];
      await expectError(expect, "invalid-option", all, () => exportParameters(mha, { layout }));
      const state = { config, parameters: mha.parameters() };
      await expectError(expect, "invalid-option", all, () => exportParameters(state, { layout }));
    }
    const { options, shapes } = forms["llama, groups, heads of another width"];
    const { config, parameters } = importParameters(dictOf(shapes), options);
    for (const [layout, bias] of [
      ["torch", false],
      ["bert", true],
      ["gpt2", true],
    ])
      await expectError(expect, "invalid-option", ["numKvHeads", "6", "2", `layout "${layout}"`], () =>
        exportParameters({ config: { ...config, bias }, parameters }, { layout }),
      );
  });

  it("refuses gates, groups of several sizes, and what else a layout's library does not compute", async () => {
    const mha = hw.multiHeadAttention({ embedDim: 12, numHeads: 4, bias: false });
    mha.setHeadGates(Float32Array.of(1, 0.5, 1, 1));
    await expectError(expect, "invalid-option", ["headGates", "gates of 1", "0.5"], () =>
      exportParameters(mha, { layout: "torch" }),
    );
    const plain = { embedDim: 12, numHeads: 6, bias: false };
    const refusals = [
      ["llama", { softcap: 30 }],
      ["llama", { alibi: true }],
      ["llama", { rope: { interleaved: true } }],
      ["torch", { rope: {} }],
    ];
    for (const [layout, extra] of refusals) {
      const parts = [...Object.keys(extra), `layout "${layout}"`];
      await expectError(expect, "invalid-option", parts, () =>
        exportParameters(hw.multiHeadAttention({ ...plain, ...extra }), { layout }),
      );
    }
    const grouped = hw.multiHeadAttention({ ...plain, numKvHeads: 3, rope: { base: 500_000 } });
    expect(Object.keys(exportParameters(grouped, { layout: "llama" }))).to.have.length(4);
    await expectError(expect, "invalid-option", ["headGroups", "none", "[0, 1, 1, 2, 2]", "llama"], () =>
      exportParameters(grouped.prune([0]), { layout: "llama" }),
    );
    const even = exportParameters(grouped.prune([0, 3, 4]), { layout: "llama" });
    expect(even["self_attn.k_proj.weight"].shape).to.deep.equal([6, 12]);
  });

  it("makes a smaller state dict of a pruned module, which computes the same", () => {
    for (const [layout, bias] of [
      ["torch", true],
      ["bert", true],
      ["gpt2", true],
      ["llama", false],
    ]) {
      const mha = hw.multiHeadAttention({ embedDim: E, numHeads: 4, bias, seed: 3 });
      mha.setParameters(
        Object.fromEntries(Object.entries(mha.parameters()).map(([name, { shape }], n) => [name, random(shape, n)])),
      );
      const pruned = mha.prune([0, 2]);
      const dict = exportParameters(pruned, { layout });
      const count = (tensors) => Object.values(tensors).reduce((sum, { data }) => sum + data.length, 0);
      expect(count(dict))
        .to.equal(pruned.parameterCount)
        .and.be.below(count(exportParameters(mha, { layout })));
      const x = random([1, 5, E], 1);
      const expected = (round) => foreignAttention[layout](dict, [x, x, x], 2, round);
      expectClose(expect, pruned.forward(x).output, expected, layout);
      expectClose(
        expect,
        moduleOf(importParameters(dict, { layout, numHeads: 2 })).forward(x).output,
        expected,
        layout,
      );
      const none = exportParameters(pruned.prune([0, 1]), { layout });
      expect(count(none)).to.equal(bias ? E : 0);
    }
  });

  it("takes a module of headwise/worker, and promises its state dict", async () => {
    const remote = await worker.load({ threads: 1 });
    try {
      const { shapes, options } = forms.bert;
      const dict = dictOf(shapes);
      const { config, parameters } = worker.importParameters(dict, options);
      const mha = await remote.multiHeadAttention(config);
      await mha.setParameters(parameters);
      expect(await worker.exportParameters(mha, { layout: "bert" })).to.deep.equal(dict);
      await expectError(expect, "invalid-option", "bias", () => worker.exportParameters(mha, { layout: "llama" }));
      await mha.setHeadGates(Float32Array.of(1, 0, 1, 1));
      await expectError(expect, "invalid-option", "headGates", () => worker.exportParameters(mha, { layout: "bert" }));
      const failing = worker.exportParameters(mha, { layout: "t5" });
      expect(failing).to.be.a("promise");
      await expectError(expect, "invalid-option", '"t5"', () => failing);
    } finally {
      await remote.dispose();
    }
  });

  it("says what is wrong with its arguments", async () => {
    const mha = hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
    const { config } = mha;
    const parameters = mha.parameters();
    const { "k_proj.bias": _, ...some } = parameters;
    const wrong = [
      ["invalid-option", ["exportParameters", "a module", "undefined"], undefined],
      ["invalid-option", ["exportParameters", "a module", "an Object"], parameters],
      ["invalid-option", ["layout", "undefined"], mha, {}],
      ["invalid-option", ["exportParameters", '"numHeads"'], mha, { layout: "bert", numHeads: 2 }],
      [
        "invalid-option",
        ["numHeads", "3 heads"],
        { config: { ...config, headDim: undefined, numHeads: 3 }, parameters },
      ],
      ["invalid-option", ["k_proj.bias", "undefined"], { config, parameters: some }],
      [
        "invalid-shape",
        ["k_proj.bias", "[8]", "[7]"],
        { config, parameters: { ...parameters, "k_proj.bias": random([7], 1) } },
      ],
    ];
    for (const [code, parts, module, options = { layout: "bert" }] of wrong)
      await expectError(expect, code, parts, () => exportParameters(module, options));
    mha.dispose();
    await expectError(expect, "disposed", "module", () => exportParameters(mha, { layout: "bert" }));
  });
});
