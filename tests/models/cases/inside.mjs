// Captures and edits of a forward pass, in every family.
import { openGolden } from "../goldens.mjs";
import { difference, integers } from "./goldens.mjs";
import { expectError } from "./support.mjs";

/** What is captured under which name, and where an edit puts it back. */
const places = { queries: "query", keys: "key", values: "value", attention: "attention", feedForward: "feedForward" };
const all = { queries: true, keys: true, values: true, attention: true, feedForward: true };

const bits = ({ data }) => new Int32Array(data.buffer, data.byteOffset, data.length).join();

/** A model of a family, and its first input. */
async function opened(hw, name) {
  const golden = await openGolden(name);
  const model = await hw.openModel(golden.folder, { tower: name === "clip" ? "text" : undefined });
  const { inputs } = Object.values(golden.cases)[0];
  const images = inputs.pixel_values && name !== "clip";
  return { model, input: images ? { pixels: inputs.pixel_values } : integers(inputs.input_ids) };
}

async function checkIdentities(model, input, expect) {
  const plain = await model.forward(input);
  const streamPlaces = { before: "before", middle: "middle", after: "stream" };
  const capture = { ...all, weights: "probabilities", heads: "values", stream: Object.keys(streamPlaces) };
  const clean = await model.forward(input, { capture: { ...capture, normScales: true } });
  expect(bits(clean.hidden), "captures change nothing").to.equal(bits(plain.hidden));
  for (const layer of [0, model.config.layers - 1]) {
    for (const weights of ["scores", "capped", "masked"]) {
      const { hidden } = await model.forward(input, { capture: { weights, layers: [layer] } });
      expect(bits(hidden), `a capture of ${weights} changes nothing`).to.equal(bits(plain.hidden));
    }
    const { heads, stream, weights, normScales = {} } = clean.layers[layer];
    const edits = [
      ...Object.entries(places).map(([name, at]) => ({ at, set: clean.layers[layer][name] })),
      ...Object.entries(streamPlaces).map(([name, at]) => ({ at, set: stream[name] })),
      ...Object.entries(normScales).map(([at, set]) => ({ at, set })),
      { at: "heads", set: heads },
      { at: "weights", set: weights },
    ];
    for (const edit of edits) {
      const patched = await model.forward(input, { edits: [{ layer, ...edit }] });
      expect(bits(patched.hidden), `what was at ${edit.at}, put back`).to.equal(bits(plain.hidden));
    }
  }
}

/** sqrt(mean square + ε) of each row, of layer norm after the mean is subtracted, in float64. */
function scalesOf({ data, shape }, { norm, normEpsilon }) {
  const width = shape.at(-1);
  return Array.from({ length: data.length / width }, (_, row) => {
    const x = Array.from(data.subarray(row * width, (row + 1) * width));
    const mean = norm === "layer" ? x.reduce((sum, value) => sum + value, 0) / width : 0;
    return Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width + normEpsilon);
  });
}

/** The scales of all norms, beside those of what the norms read. */
async function checkScales(model, input, expect) {
  const { config } = model;
  const { normPlacement } = config;
  // Without rotation queries and keys have the size that they have behind their norms.
  const options = config.queryKeyNorm ? { positions: { ...input, data: new Int32Array(input.data.length) } } : {};
  const capture = { ...all, stream: ["before", "middle", "after"], normScales: true };
  const { layers, normScale } = await model.forward(input, { ...options, capture });
  const same = (ours, x, what, of = config) => {
    const theirs = scalesOf(x, of);
    expect(ours.shape, what).to.deep.equal([...x.shape.slice(0, -1), 1]);
    theirs.forEach((value, n) => expect(Math.abs(ours.data[n] / value - 1), what).to.be.at.most(2e-6));
  };
  const sum = (one, other) => ({ ...one, data: one.data.map((value, n) => value + other.data[n]) });
  const parameters = config.queryKeyNorm || normPlacement === "both" ? await model.parameters() : {};
  expect(normScale !== undefined, "a last norm").to.equal(config.finalNorm);
  if (normScale) same(normScale, layers.at(-1).stream.after, "the last norm");
  for (const [layer, { stream, attention, feedForward, normScales = {} }] of layers.entries()) {
    const after = normPlacement === "after";
    const read = {
      norm1: after ? sum(stream.before, attention) : stream.before,
      norm2: after
        ? sum(stream.middle, feedForward)
        : stream[normPlacement.startsWith("parallel") ? "before" : "middle"],
    };
    const own = config.layerOptions[layer].norm1 === false ? ["norm2"] : ["norm1", "norm2"];
    if (normPlacement === "parallel-shared") own.pop();
    const inner = {
      ...(normPlacement === "both" && {
        norm1After: ["attention", "norm1_after"],
        norm2After: ["feedForward", "norm2_after"],
      }),
      ...(config.queryKeyNorm && {
        queryNorm: ["queries", "attention.q_norm"],
        keyNorm: ["keys", "attention.k_norm"],
      }),
    };
    expect(Object.keys(normScales)).to.have.members([...own, ...Object.keys(inner)]);
    for (const name of own) same(normScales[name], read[name], `${name} ${layer}`);
    for (const [name, [place, parameter]] of Object.entries(inner)) {
      // Divided by 1, what an RMS norm reads is what it gives, up to its weight.
      const edits = [{ layer, at: name, set: 1 }];
      const edited = await model.forward(input, { ...options, edits, capture: { [place]: true } });
      const weight = parameters[`layers.${layer}.${parameter}.weight`].data;
      const given = edited.layers[layer][place];
      const x = { ...given, data: given.data.map((value, n) => value / weight[n % weight.length]) };
      same(normScales[name], x, `${name} ${layer}`, { ...config, norm: "rms" });
    }
  }
}

async function checkGates(model, input, expect) {
  const attention = await model.attention(0);
  const H = model.config.heads[0].length;
  const gated = async (...gates) => {
    await attention.setHeadGates(Float32Array.from({ length: H }, (_, h) => gates[h] ?? 1));
    const { hidden } = await model.forward(input);
    await attention.setHeadGates(new Float32Array(H).fill(1));
    return hidden;
  };
  const edited = async (...edits) => (await model.forward(input, { edits })).hidden;
  const same = (one, other, what) => expect(difference(one, other), what).to.be.at.most(1e-5);
  same(await edited({ layer: 0, at: "heads", head: 1, set: 0 }), await gated(1, 0), "a zero edit is a gate of 0");
  same(await edited({ layer: 0, at: "heads", head: 0, scale: 0.5 }), await gated(0.5), "a factor is a gate");
  same(await edited({ layer: 0, at: "weights", head: 1, set: 0 }), await gated(1, 0), "no weights are a gate of 0");
  const none = await gated(...new Array(H).fill(0));
  same(await edited({ layer: 0, at: "heads", set: 0 }), none, "all heads at once are all gates");
  const all = Array.from({ length: model.config.layers }, (_, layer) => ({ layer, at: "heads", set: 0 }));
  const heads = model.config.heads.map((list) => list.map((_, h) => h));
  const without = await model.prune({ ...heads });
  same(await edited(...all), (await without.forward(input)).hidden, "no heads are the model without attention");
  await without.dispose();
}

/** What generate says with edits is what forward says of the whole text each time. */
async function checkGenerate(model, expect) {
  const edits = [
    { layer: 0, at: "heads", head: 1, set: 0 },
    { layer: 0, at: "norm1", tokens: [2, 5], scale: 1.5 },
    { layer: 1, at: "stream", tokens: [1, 6], scale: 0.3 },
    { layer: 1, at: "key", tokens: [2], add: 1.5 },
    { layer: 1, at: "value", head: 0, tokens: [0, 5], scale: -2 },
    { layer: 1, at: "query", head: 3, add: 0.5 },
    { layer: 1, at: "weights", head: 0, scale: 0.5 },
    { layer: 2, at: "feedForward", tokens: [3, 7], set: 0 },
    { layer: 2, at: "attention", scale: 1.5 },
  ];
  const prompt = [5, 9, 11, 40];
  const text = [...prompt];
  for (let n = 0; n < 8; ++n) {
    const here = edits.map((edit) => ({
      ...edit,
      ...(edit.tokens && { tokens: edit.tokens.filter((t) => t < text.length) }),
    }));
    const { logits } = await model.forward(text, { logits: "last", edits: here });
    text.push(logits.data.indexOf(Math.max(...logits.data)));
  }
  const tokens = [];
  for await (const token of model.generate(prompt, { maxTokens: 8, temperature: 0, stop: [], edits }))
    tokens.push(token);
  expect([...prompt, ...tokens]).to.deep.equal(text);
  const plain = [];
  for await (const token of model.generate(prompt, { maxTokens: 8, temperature: 0, stop: [] })) plain.push(token);
  expect(tokens, "edits that change the text").not.to.deep.equal(plain);
}

export const insideCases = (names) => [
  ...names.map((name) => ({
    name: `${name}: edits that change nothing, scales of norms, edits that are gates, and edits while generating`,
    async run({ hw, expect }) {
      const { model, input } = await opened(hw, name);
      await checkIdentities(model, input, expect);
      await checkScales(model, input, expect);
      await checkGates(model, input, expect);
      if (model.config.causal && model.config.head) await checkGenerate(model, expect);
      await model.dispose();
    },
  })),
  {
    name: "edits of chosen tokens, by tensors that broadcast",
    async run({ hw, expect }) {
      const { model, input } = await opened(hw, "gpt2");
      const capture = { heads: "values", queries: true, weights: "probabilities" };
      const clean = (await model.forward(input, { capture })).layers[1];
      const [B, H, L, D] = clean.heads.shape;
      const row = { data: Float32Array.from({ length: D }, (_, n) => n / 7 - 1), shape: [D] };
      const edits = [
        { layer: 1, at: "query", head: 2, tokens: [3, 1], add: 2 },
        { layer: 1, at: "weights", head: 0, tokens: [2], set: { data: new Float32Array(L).fill(0.5), shape: [1, L] } },
        { layer: 1, at: "heads", head: 1, tokens: [0], set: row },
        { layer: 1, at: "heads", head: 1, tokens: [0], scale: -2 },
      ];
      const after = (await model.forward(input, { capture, edits })).layers[1];
      for (let b = 0; b < B; ++b) {
        for (let h = 0; h < H; ++h) {
          for (let i = 0; i < L; ++i) {
            const at = ({ data, shape }) => data.subarray(...[0, 1].map((n) => ((b * H + h) * L + i + n) * shape[3]));
            const moved = h === 2 && (i === 1 || i === 3) ? 2 : 0;
            const queries = at(clean.queries).map((value) => Math.fround(value + moved));
            expect(Array.from(at(after.queries)), `query ${b} ${h} ${i}`).to.deep.equal(Array.from(queries));
            if (h === 0 && i === 2) expect(Array.from(at(after.weights))).to.deep.equal(new Array(L).fill(0.5));
            else if (moved === 0)
              expect(bits({ data: at(after.weights).slice() })).to.equal(bits({ data: at(clean.weights).slice() }));
            const expected = h === 1 && i === 0 ? row.data.map((value) => value * -2) : undefined;
            if (expected) expect(Array.from(at(after.heads))).to.deep.equal(Array.from(expected));
          }
        }
      }
      await model.dispose();
    },
  },
  {
    name: "refuses edits that fit no place",
    async run({ hw, expect, entry }) {
      const { model } = await opened(hw, "gpt2");
      const refused = (edit, code, ...parts) =>
        expectError(expect, code, parts, () => model.forward([1, 2, 3], { edits: [edit] }));
      await refused({ layer: 9, at: "heads", set: 0 }, "invalid-option", "edits[0].layer");
      await refused({ layer: 0, at: "head", set: 0 }, "invalid-option", "edits[0].at", '"weights"');
      await refused({ layer: 0, at: "norm2After", set: 1 }, "invalid-option", "edits[0].at", "layer 0: norm1,norm2");
      await refused({ layer: 0, at: "heads" }, "invalid-option", "edits[0]", "one of set, add and scale");
      await refused({ layer: 0, at: "heads", set: 0, add: 1 }, "invalid-option", "one of set, add and scale, got 2");
      await refused({ layer: 0, at: "stream", head: 1, set: 0 }, "invalid-option", "edits[0].head");
      await refused({ layer: 0, at: "heads", head: 99, set: 0 }, "invalid-option", "edits[0].head");
      await refused({ layer: 0, at: "heads", tokens: [3], set: 0 }, "invalid-option", "edits[0].tokens", "2");
      await refused({ layer: 0, at: "heads", set: NaN }, "invalid-option", "edits[0].set");
      await refused(
        { layer: 0, at: "stream", set: { data: new Float32Array(2), shape: [2] } },
        ...["invalid-shape", "edits[0].set", "broadcasts"],
      );
      const buffer = new ArrayBuffer(4 * model.config.embedDim);
      const early = { data: new Float32Array(buffer), shape: [model.config.embedDim] };
      const late = {
        layer: 0,
        get at() {
          structuredClone(buffer, { transfer: [buffer] });
          return "heads";
        },
        set: 0,
      };
      const detached = [{ layer: 0, at: "stream", set: early }, late];
      if (entry === "headwise") {
        await expectError(expect, "invalid-shape", ["edits[0].set", "now has 0"], () =>
          model.forward([1, 2, 3], { edits: detached }),
        );
      }
      const text = () =>
        model.generate([1], {
          maxTokens: 1,
          edits: [{ layer: 0, at: "stream", set: { data: new Float32Array(2), shape: [2, 1] } }],
        });
      await expectError(expect, "invalid-shape", ["edits[0].set"], async () => {
        for await (const _ of text());
      });
      await model.dispose();
    },
  },
];
