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
