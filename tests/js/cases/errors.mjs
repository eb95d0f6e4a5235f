// Every way to fail that can arise so far: the code, and what the message must name.
import { random } from "../reference.mjs";
import { expectError } from "./support.mjs";

const x = random([2, 3, 4], 1);
const heads = random([1, 2, 3, 4], 2);
const flat = random([3, 4], 3);

const wide = random([2, 3, 3], 4);
const past = { key: random([1, 2, 2, 4], 5), value: random([1, 2, 2, 4], 6) };

const attentionErrors = [
  // [code, parts of the message, arguments]
  ["invalid-option", ["query", "tensor", "undefined"], []],
  [
    "invalid-option",
    ["query.data", "Float32Array", "Float64Array"],
    [{ data: new Float64Array(4), shape: [2, 2] }, flat, flat],
  ],
  ["invalid-option", ["query.shape", "undefined"], [{ data: new Float32Array(4) }, flat, flat]],
  ["invalid-option", ["query.shape", "-1"], [{ data: new Float32Array(4), shape: [-1, -4] }, flat, flat]],
  ["invalid-shape", ["query", "[3, 5]", "15", "12"], [{ data: flat.data, shape: [3, 5] }, flat, flat]],
  ["invalid-shape", ["query", "rank", "[24]"], [{ data: x.data, shape: [24] }, flat, flat]],
  ["invalid-shape", ["key", "rank 2", "[2, 3, 4]"], [flat, x, flat]],
  ["invalid-shape", ["key", "[3, 4]", "[3, 5]"], [flat, random([3, 5], 1), flat]],
  ["invalid-shape", ["value", "[3, 2]", "[4, 2]"], [flat, flat, random([4, 2], 1)]],
  ["invalid-shape", ["key", "[1, 2, 3, 4]", "[1, 3, 3, 4]"], [heads, random([1, 3, 3, 4], 1), heads]],
  ["invalid-option", ["numHeads", "undefined"], [x, x, x]],
  ["invalid-option", ["numHeads", "rank 4"], [heads, heads, heads, { numHeads: 2 }]],
  ["invalid-option", ["numHeads", "1.5"], [x, x, x, { numHeads: 1.5 }]],
  ["invalid-shape", ["query", "numHeads = 3", "[2, 3, 4]"], [x, x, x, { numHeads: 3 }]],
  ["invalid-option", ["attention", '"windw"'], [flat, flat, flat, { windw: 3 }]],
  ["invalid-option", ["attention", "an object", "3"], [flat, flat, flat, 3]],
  ["invalid-option", ["causal", "true or false", "1"], [flat, flat, flat, { causal: 1 }]],
  ["invalid-option", ["offset", "integer", "0.5"], [flat, flat, flat, { offset: 0.5 }]],
  ["invalid-option", ["scale", "-1"], [flat, flat, flat, { scale: -1 }]],
  ["invalid-option", ["scale", "NaN"], [flat, flat, flat, { scale: NaN }]],
  ["invalid-option", ["scale", "1e+39"], [flat, flat, flat, { scale: 1e39 }]],
  ["invalid-option", ["return", '"weight"'], [flat, flat, flat, { return: { weight: "probabilities" } }]],
  ["invalid-option", ["return.weights", '"probabilities"', "true"], [flat, flat, flat, { return: { weights: true } }]],
  ["invalid-option", ["keyLengths", "Int32Array"], [flat, flat, flat, { keyLengths: [3] }]],
  ["invalid-shape", ["keyLengths", "1", "2"], [flat, flat, flat, { keyLengths: Int32Array.of(1, 2) }]],
  ["invalid-option", ["keyLengths", "3", "4"], [flat, flat, flat, { keyLengths: Int32Array.of(4) }]],
  ["invalid-shape", ["headGates", "2", "3"], [heads, heads, heads, { headGates: new Float32Array(3) }]],
  ["invalid-option", ["headGates", "finite", "NaN"], [heads, heads, heads, { headGates: Float32Array.of(1, NaN) }]],
  ["invalid-option", ["mask", "{ data, shape }", "[true, false]"], [flat, flat, flat, { mask: [true, false] }]],
  ["invalid-option", ["headGates", "Float32Array"], [heads, heads, heads, { headGates: [1, 1] }]],
  [
    "invalid-option",
    ["mask.data", "Float64Array"],
    [flat, flat, flat, { mask: { data: new Float64Array(9), shape: [3, 3] } }],
  ],
  [
    "invalid-shape",
    ["mask", "[1, 1, 3, 3]", "[2, 3]"],
    [flat, flat, flat, { mask: { data: new Uint8Array(6), shape: [2, 3] } }],
  ],
  [
    "invalid-shape",
    ["mask", "[3, 3]", "9", "8"],
    [flat, flat, flat, { mask: { data: new Uint8Array(8), shape: [3, 3] } }],
  ],
  ["invalid-option", ["attention", '"dropout"'], [flat, flat, flat, { dropout: 1 }]],
  ["invalid-shape", ["mask", "[1, 1, 3, 3]", "[3, 4]"], [flat, flat, flat, { mask: random([3, 4], 1) }]],
  ["invalid-shape", ["mask", "[1, 1, 3, 3]", "[3, 0]"], [flat, flat, flat, { mask: random([3, 0], 1) }]],
  ["invalid-option", ["numKvHeads", "rank 2"], [flat, flat, flat, { numKvHeads: 1 }]],
  ["invalid-option", ["numKvHeads", "0"], [x, x, x, { numHeads: 2, numKvHeads: 0 }]],
  ["invalid-shape", ["numKvHeads", "divides", "4", "3"], [x, wide, wide, { numHeads: 4, numKvHeads: 3 }]],
  ["invalid-shape", ["key", "divides", "2", "3"], [heads, random([1, 3, 3, 4], 1), random([1, 3, 3, 4], 1)]],
  ["invalid-shape", ["value", "empty", "[1, 0, 3, 4]"], [heads, random([1, 0, 3, 4], 1), random([1, 0, 3, 4], 1)]],
  ["invalid-shape", ["value", "[1, 1, 3, 4]", "[1, 2, 3, 4]"], [heads, random([1, 1, 3, 4], 1), heads]],
  ["invalid-shape", ["value", "numKvHeads = 2", "[2, 3, 3]"], [x, x, wide, { numHeads: 2 }]],
  ["invalid-shape", ["query", "empty", "[3, 0]"], [random([3, 0], 1), random([3, 0], 1), flat]],
  ["invalid-shape", ["value", "empty", "[3, 0]"], [flat, flat, random([3, 0], 1)]],
  ["invalid-shape", ["query", "empty", "[2, 0, 3, 4]"], [random([2, 0, 3, 4], 1), heads, heads]],
  ["invalid-option", ["window", "an object", "3"], [flat, flat, flat, { window: 3 }]],
  ["invalid-option", ["window", '"lft"'], [flat, flat, flat, { window: { lft: 3 } }]],
  ["invalid-option", ["window.left", "from 0 to 2147483647", "-1"], [flat, flat, flat, { window: { left: -1 } }]],
  ["invalid-option", ["window.right", "integer", "Infinity"], [flat, flat, flat, { window: { right: Infinity } }]],
  ["invalid-option", ["offset", "integer", "Int32Array", "[1]"], [flat, flat, flat, { offset: [1] }]],
  ["invalid-shape", ["offset", "1", "2"], [flat, flat, flat, { offset: Int32Array.of(1, 2) }]],
  ["invalid-option", ["softcap", ">= 0", "-2"], [flat, flat, flat, { softcap: -2 }]],
  ["invalid-option", ["softcap", "finite", "Infinity"], [flat, flat, flat, { softcap: Infinity }]],
  ["invalid-option", ["keyLengths", "S = 5", "6"], [heads, heads, heads, { past, keyLengths: Int32Array.of(6) }]],
  ["invalid-option", ["past", "an object", "3"], [flat, flat, flat, { past: 3 }]],
  ["invalid-option", ["past.value", "tensor", "undefined"], [heads, heads, heads, { past: { key: past.key } }]],
  [
    "invalid-shape",
    ["past.key", "[1, 2, 2, 4]", "[1, 1, 2, 4]"],
    [heads, heads, heads, { past: { ...past, key: random([1, 1, 2, 4], 1) } }],
  ],
  [
    "invalid-shape",
    ["past.value", "[1, 2, 2, 4]", "[1, 2, 3, 4]"],
    [heads, heads, heads, { past: { ...past, value: heads } }],
  ],
  ["invalid-shape", ["past.key", "[1, 1, 0, 4]", "[3, 4]"], [flat, flat, flat, { past: { key: flat, value: flat } }]],
  ["invalid-option", ["return.weights", '"scores"', '"score"'], [flat, flat, flat, { return: { weights: "score" } }]],
  ["invalid-option", ["return.present", "true or false", "1"], [flat, flat, flat, { return: { present: 1 } }]],
];

const rotaryErrors = [
  ["invalid-option", ["x", "tensor", "undefined"], []],
  ["invalid-shape", ["x", "rank 3", "[3, 4]"], [flat]],
  ["invalid-shape", ["x", "empty", "[1, 2, 3, 0]"], [random([1, 2, 3, 0], 1)]],
  ["invalid-option", ["numHeads", "rank 3", "undefined"], [x]],
  ["invalid-option", ["numHeads", "rank 4"], [heads, { numHeads: 2 }]],
  ["invalid-shape", ["x", "numHeads = 3", "[2, 3, 4]"], [x, { numHeads: 3 }]],
  ["invalid-option", ["dim", "even", "D = 1", "1"], [x, { numHeads: 4 }]],
  ["invalid-option", ["dim", "even", "3"], [heads, { dim: 3 }]],
  ["invalid-option", ["dim", "2 to D = 4", "6"], [heads, { dim: 6 }]],
  ["invalid-option", ["base", "> 0", "-1"], [heads, { base: -1 }]],
  ["invalid-option", ["base", "finite", "1e-50"], [heads, { base: 1e-50 }]],
  ["invalid-option", ["interleaved", "true or false", "1"], [heads, { interleaved: 1 }]],
  ["invalid-option", ["rotaryEmbedding", '"theta"'], [heads, { theta: 1 }]],
  ["invalid-option", ["positions", "Int32Array", "[0, 1, 2]"], [heads, { positions: [0, 1, 2] }]],
  ["invalid-shape", ["positions", "3", "2"], [heads, { positions: Int32Array.of(0, 1) }]],
  ["invalid-option", ["sin", "tensor", "undefined"], [heads, { cos: random([1, 3, 2], 1) }]],
  ["invalid-option", ["base", "cos"], [heads, { base: 10, cos: random([1, 3, 2], 1), sin: random([1, 3, 2], 1) }]],
  ["invalid-shape", ["cos", "[1, 3, 2]", "[3, 2]"], [heads, { cos: random([3, 2], 1), sin: random([3, 2], 1) }]],
  [
    "invalid-shape",
    ["sin", "[9, 2]", "[8, 2]"],
    [heads, { positions: new Int32Array(3), cos: random([9, 2], 1), sin: random([8, 2], 1) }],
  ],
  ...[-1, 9].map((row) => [
    "invalid-option",
    ["positions", "0 to 8", `${row}`],
    [heads, { positions: Int32Array.of(0, 8, row), cos: random([9, 2], 1), sin: random([9, 2], 1) }],
  ]),
];

const grouped = (headGroups) => ({ embedDim: 9, numHeads: 3, headGroups });

const configErrors = [
  ["invalid-option", ["embedDim", "undefined"], { numHeads: 2 }],
  ["invalid-option", ["numHeads", "-1"], { embedDim: 8, numHeads: -1, headDim: 4 }],
  ["invalid-option", ["numHeads", "0 heads", "headDim"], { embedDim: 8, numHeads: 0 }],
  ["invalid-shape", ["numKvHeads", "1", "numHeads = 0"], { embedDim: 8, numHeads: 0, headDim: 4, numKvHeads: 1 }],
  ["invalid-option", ["numHeads", "3 heads", "8"], { embedDim: 8, numHeads: 3 }],
  ["invalid-option", ["bias", '"qkv"', '"all"'], { embedDim: 8, numHeads: 2, bias: "all" }],
  ["invalid-option", ["scale", "Infinity"], { embedDim: 8, numHeads: 2, scale: Infinity }],
  ["invalid-option", ["seed", "-1"], { embedDim: 8, numHeads: 2, seed: -1 }],
  ["invalid-option", ['"dropout"'], { embedDim: 8, numHeads: 2, dropout: 0.1 }],
  ["invalid-shape", ["numKvHeads", "3", "numHeads = 4"], { embedDim: 8, numHeads: 4, numKvHeads: 3 }],
  ["invalid-shape", ["numKvHeads", "8", "numHeads = 4"], { embedDim: 8, numHeads: 4, numKvHeads: 8 }],
  ["invalid-option", ["numKvHeads", "0"], { embedDim: 8, numHeads: 4, numKvHeads: 0 }],
  ["invalid-option", ["numKvHeads", "2, as headGroups", "1"], { ...grouped([0, 0, 1]), numKvHeads: 1 }],
  ["invalid-option", ["headGroups", "array", '"001"'], grouped("001")],
  ["invalid-shape", ["headGroups", "3", "2"], grouped([0, 1])],
  ...[
    [1, 1, 1],
    [0, 2, 2],
    [0, 1, 0],
    [0, 1, NaN],
    [0, 0, "1"],
    [0, [0], 1],
    [0, true, 1],
    [0, 0.5, 1],
    [0, , 1],
  ].map((groups) => ["invalid-option", ["headGroups", "ascend from 0 without gaps", "["], grouped(groups)]),
  ["invalid-option", ["rope", "an object", "true"], { embedDim: 8, numHeads: 2, rope: true }],
  ["invalid-option", ["rope", '"theta"'], { embedDim: 8, numHeads: 2, rope: { theta: 1e6 } }],
  ["invalid-option", ["rope.dim", "even", "D = 3", "3"], { embedDim: 9, numHeads: 3, rope: {} }],
  ["invalid-option", ["rope.dim", "D = 4", "6"], { embedDim: 8, numHeads: 2, rope: { dim: 6 } }],
  ["invalid-option", ["rope.dim", "integer", '"2"'], { embedDim: 8, numHeads: 2, rope: { dim: "2" } }],
  ["invalid-option", ["rope.base", "> 0", "0"], { embedDim: 8, numHeads: 2, rope: { base: 0 } }],
  ["invalid-option", ["rope.interleaved", "1"], { embedDim: 8, numHeads: 2, rope: { interleaved: 1 } }],
  ["invalid-option", ["alibi", "true, false or an array of slopes", "1"], { embedDim: 8, numHeads: 2, alibi: 1 }],
  ["invalid-shape", ["alibi", "2 elements", "1"], { embedDim: 8, numHeads: 2, alibi: [0.5] }],
  ["invalid-option", ["alibi[1]", "finite float32", "1e+39"], { embedDim: 8, numHeads: 2, alibi: [0.5, 1e39] }],
  ["invalid-option", ["alibi[0]", "finite float32", "undefined"], { embedDim: 8, numHeads: 2, alibi: [, 1] }],
  ["invalid-option", ["softcap", "finite", "Infinity"], { embedDim: 8, numHeads: 2, softcap: Infinity }],
  ["invalid-option", ["softcap", ">= 0", "-1"], { embedDim: 8, numHeads: 2, softcap: -1 }],
  ["out-of-memory", ["MiB", "4 GiB"], { embedDim: 2 ** 20, numHeads: 1 }],
  ["out-of-memory", ["MiB", "4 GiB"], { embedDim: 2 ** 31 - 1, numHeads: 1 }],
];

export const errorCases = [
  {
    name: "attention names the argument that is wrong, and what was expected beside what was given",
    async run({ hw, expect }) {
      for (const [code, parts, args] of attentionErrors)
        await expectError(expect, code, parts, () => hw.attention(...args));
    },
  },
  {
    name: "rotaryEmbedding names the argument that is wrong, and what was expected beside what was given",
    async run({ hw, expect }) {
      for (const [code, parts, args] of rotaryErrors)
        await expectError(expect, code, parts, () => hw.rotaryEmbedding(...args));
    },
  },
  {
    name: "the module's configuration is checked",
    async run({ hw, expect }) {
      for (const [code, parts, config] of configErrors) {
        await expectError(expect, code, parts, () => hw.multiHeadAttention(config));
      }
      await expectError(expect, "invalid-option", ["multiHeadAttention", "undefined"], () => hw.multiHeadAttention());
    },
  },
  {
    name: "the module's methods check their arguments",
    async run({ hw, expect }) {
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2, keyDim: 6, valueDim: 5 });
      const [query, key, value] = [random([2, 3, 4], 1), random([2, 7, 6], 2), random([2, 7, 5], 3)];
      const errors = [
        ["invalid-shape", ["query", "[2, 3, 4]", "[2, 3, 5]"], () => mha.forward(random([2, 3, 5], 1), key, value)],
        ["invalid-shape", ["query", "[B, L, 4]", "[4]"], () => mha.forward(random([4], 1), key, value)],
        ["invalid-shape", ["key", "[2, 7, 6]", "[1, 7, 6]"], () => mha.forward(query, random([1, 7, 6], 1), value)],
        ["invalid-shape", ["value", "[2, 7, 5]", "[2, 8, 5]"], () => mha.forward(query, key, random([2, 8, 5], 1))],
        ["invalid-shape", ["memory (as value)", "[2, 7, 5]", "[2, 7, 6]"], () => mha.forward(query, key)],
        ["invalid-shape", ["query (as key)", "[2, 3, 6]", "[2, 3, 4]"], () => mha.forward(query)],
        ["invalid-option", ["forward", "(query, key, value)"], () => mha.forward(query, key, value, query)],
        [
          "invalid-option",
          ["positions", "rope"],
          () => mha.forward(query, key, value, { positions: new Int32Array(6) }),
        ],
        ["invalid-option", ["window", "an object"], () => mha.forward(query, key, value, { window: 2 })],
        ["invalid-shape", ["offset", "2", "3"], () => mha.forward(query, key, value, { offset: new Int32Array(3) })],
        [
          "invalid-option",
          ["return.weights", '"capped"', '"logits"'],
          () => mha.forward(query, key, value, { return: { weights: "logits" } }),
        ],
        ["invalid-option", ["forward", '"trained"'], () => mha.forward(query, key, value, { trained: true })],
        [
          "invalid-option",
          ["return.heads", '"values"', "true"],
          () => mha.forward(query, key, value, { return: { heads: true } }),
        ],
        ["invalid-option", ["gates", "finite", "Infinity"], () => mha.setHeadGates(Float32Array.of(Infinity, 1))],
        ["invalid-shape", ["gates", "2", "3"], () => mha.setHeadGates(new Float32Array(3))],
        ["invalid-option", ["prune", "an array", "1"], () => mha.prune(1)],
        ["invalid-option", ["prune", "2"], () => mha.prune([2])],
        ["invalid-option", ["prune", "1", "twice"], () => mha.prune([1, 1])],
        [
          "invalid-option",
          ["parameters", '"q.weight"', "q_proj.weight"],
          () => mha.setParameters({ "q.weight": query }),
        ],
        ["invalid-option", "parameters", () => mha.setParameters(new Map([["q_proj.weight", flat]]))],
        ["invalid-shape", ["q_proj.weight", "[4, 4]", "[3, 4]"], () => mha.setParameters({ "q_proj.weight": flat })],
      ];
      for (const [code, parts, call] of errors) await expectError(expect, code, parts, call);
      expect((await mha.forward(query, key, value)).output.shape).to.deep.equal([2, 3, 4]);
    },
  },
  {
    name: "a request beyond memory throws, and the instance works on",
    async run({ hw, expect, entry }) {
      const before = await hw.memory();
      // Weights of [1, 64, 4096, 4096] are 4 GiB. (tests/js/lifetime.test.mjs has allocations that fail in the core.)
      const wide = { data: new Float32Array(64 * 4096), shape: [1, 64, 4096, 1] };
      await expectError(expect, "out-of-memory", "MiB", () =>
        hw.attention(wide, wide, wide, { return: { weights: "probabilities" } }),
      );
      expect((await hw.memory()).usedBytes).to.be.at.most(before.usedBytes);
      expect((await hw.attention(flat, flat, flat)).output.shape).to.deep.equal([3, 4]);
      if (entry === "headwise") expect(hw.memory().liveObjects).to.equal(before.liveObjects);
    },
  },
  {
    name: "use after dispose throws disposed; dispose again does nothing",
    async run({ hw, expect, load }) {
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
      await mha.dispose();
      await mha.dispose();
      await expectError(expect, "disposed", "module", () => mha.forward(x));
      if (Symbol.dispose) {
        const module = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
        module[Symbol.dispose]();
        await expectError(expect, "disposed", "module", () => module.forward(x));
      }
      const own = await load({ threads: 1, simd: hw.info.simd });
      const inside = await own.multiHeadAttention({ embedDim: 4, numHeads: 2 });
      own[Symbol.dispose ?? "dispose"]();
      await own.dispose();
      await inside.dispose();
      await expectError(expect, "disposed", "instance", () => own.attention(flat, flat, flat));
      await expectError(expect, "disposed", "instance", () => own.memory());
      await expectError(expect, "disposed", "instance", () => own.multiHeadAttention({ embedDim: 4, numHeads: 2 }));
      await expectError(expect, "disposed", "instance", () => inside.forward(x));
      expect((await hw.attention(flat, flat, flat)).output.shape).to.deep.equal([3, 4]);
    },
  },
  {
    name: "load refuses what it does not know and what cannot be had",
    async run({ expect, load }) {
      const errors = [
        ["invalid-option", ["load", '"thread"'], { thread: 2 }],
        ["invalid-option", ["threads", "0"], { threads: 0 }],
        ["invalid-option", ["threads", "65"], { threads: 65 }],
        ["invalid-option", ["threads", '"many"'], { threads: "many" }],
        ["invalid-option", ["simd", '"avx"'], { simd: "avx" }],
        ["invalid-option", ["wasm", "5"], { wasm: 5 }],
      ];
      for (const [code, parts, options] of errors) await expectError(expect, code, parts, () => load(options));
    },
  },
];
