// Properties of number formats: what a model computes, converted, saved and opened again; and files that are damaged.
import fc from "fast-check";

import { HeadwiseError } from "../../dist/index.js";
import { fill, maybe, numbers, upTo } from "./arbitraries.mjs";
import { expect, expectSame } from "./attention_oracle.mjs";

const dtypes = ["f32", "bf16", "int8"];
// A file in BF16 would round norms and biases as well.
const fileTypes = { f32: "F32", bf16: "F32", int8: "I8" };

const modelCase = fc.record({
  ...{ vocabSize: upTo(20, 2), layers: upTo(2, 1), headDim: upTo(9, 1), numHeads: upTo(4, 1), F: maybe(upTo(19, 1)) },
  ...{ odd: fc.boolean(), causal: fc.boolean(), tieEmbeddings: fc.boolean(), gated: fc.boolean(), numbers },
  norm: fc.constantFrom("layer", "rms"),
});

function makeModel(hw, { vocabSize, layers, headDim, numHeads, F, odd, numbers: given, ...more }) {
  const model = hw.transformer({
    ...{ ...more, vocabSize, layers, numHeads, contextLength: 12, feedForwardDim: F ?? 7, activation: "silu" },
    ...{ headDim, embedDim: numHeads * headDim + (odd ? 1 : 0), positions: "learned" },
  });
  const parameters = Object.entries(model.parameters()).map(([name, { shape }], n) => [name, fill(shape, given, n)]);
  const finite = ({ data, shape }) => ({ data: data.map((x) => (Number.isFinite(x) ? x : 1e30)), shape });
  model.setParameters(Object.fromEntries(parameters.map(([name, t]) => [name, finite(t)])));
  return model;
}

const result = (model, tokens) => model.forward(tokens, { capture: { stream: ["after"] } });

function expectEqual(ours, theirs, what) {
  expectSame(ours.logits, theirs.logits, `${what}, logits`);
  for (const [n, { stream }] of ours.layers.entries())
    expectSame(stream.after, theirs.layers[n].stream.after, `${what}, layer ${n}`);
}

/** A format's numbers stay what they are, converted again and through a file; threads change none. */
export const formats = {
  arbitrary: fc.record({
    ...{ model: modelCase, length: upTo(12, 1), dtype: fc.constantFrom(...dtypes), pruned: fc.boolean() },
    gates: fc.array(fc.constantFrom(1, 0, -0.5), { minLength: 4, maxLength: 4 }),
  }),
  check({ hw, threaded }, { model: given, length, gates, dtype, pruned }) {
    const live = [];
    const keep = (model) => (live.push(model), model);
    const tokens = Int32Array.from({ length }, (_, n) => (5 * n + 1) % given.vocabSize);
    try {
      const whole = keep(makeModel(hw, given));
      const first = whole.attention(0);
      first.setHeadGates(Float32Array.from(gates.slice(0, first.numHeads)));
      const start = pruned ? keep(whole.prune({ 0: [0] })) : whole;
      const model = keep(keep(start.convert({ dtype })).convert({ dtype }));
      const direct = keep(start.convert({ dtype }));
      const exact = result(direct, tokens);
      expectEqual(result(model, tokens), exact, "converted twice");
      const type = { dtype: fileTypes[dtype] };
      const file = direct.save(type);
      expectSame({ data: model.save(type) }, { data: file }, "files");
      for (const instance of [hw, threaded]) {
        const opened = instance.loadTransformer(file);
        try {
          expect(opened.config.dtype === dtype, `opened as ${opened.config.dtype}`);
          expectEqual(result(opened, tokens), exact, "opened");
        } finally {
          opened.dispose();
        }
      }
    } finally {
      for (const model of live.reverse()) model.dispose();
    }
  },
};

/** A file with bytes that are changed opens or is refused; what opens computes without harm. */
export const damagedFiles = {
  arbitrary: fc.record({
    model: modelCase,
    changes: fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), to: upTo(255) }), {
      minLength: 1,
      maxLength: 4,
    }),
    cut: maybe(fc.double({ min: 0, max: 1, noNaN: true })),
    inHeader: fc.boolean(),
  }),
  check({ hw }, { model: given, changes, cut, inHeader }) {
    const model = makeModel(hw, given);
    let file = model.save({ dtype: "I8" });
    model.dispose();
    const end = inHeader ? Number(new DataView(file.buffer).getBigUint64(0, true)) : file.length - 1;
    for (const { at, to } of changes) file[Math.floor(at * end)] = to;
    if (cut !== undefined) file = file.slice(0, Math.floor(cut * file.length));
    let opened;
    try {
      opened = hw.loadTransformer(file);
      const { logits } = opened.forward([0, 1]);
      expect(logits.data.length === 2 * opened.config.vocabSize, "logits");
      expectSame({ data: opened.save({ dtype: "I8" }) }, { data: opened.save({ dtype: "I8" }) }, "files");
    } catch (error) {
      const codes = ["invalid-file", "invalid-option", "invalid-shape", "out-of-memory"];
      expect(error instanceof HeadwiseError && codes.includes(error.code), error.stack);
      expect(opened !== undefined || !/^invalid-(option|shape)$/.test(error.code), `${error.code}: ${error.stack}`);
    } finally {
      opened?.dispose();
    }
  },
};
