// Fewer key/value heads: means, and means of heads that were turned first.
import { batches, headCounts, makeTransformer } from "../../js/cases/head_importance.mjs";
import { random } from "../../js/reference.mjs";
import { eye, inverse, mean, multiply, polar, range, transpose } from "./matrices.mjs";
import { expectError, share } from "./support.mjs";

const rows = ({ data, shape: [count, width = 1] }) =>
  range(count).map((n) => [...data.subarray(n * width, (n + 1) * width)]);
const tensor = (matrix) => ({
  data: Float32Array.from(matrix.flat()),
  shape: matrix[0].length === 1 ? [matrix.length] : [matrix.length, matrix[0].length],
});
/** Rows of one head. */
const part = (matrix, head, D) => matrix.slice(head * D, (head + 1) * D);

const randomTurn = (D, seed) => polar(rows(random([D, D], seed)));

/** A turn of keys that rotary embedding allows: of pairs of the first `dim` elements, and anything of the others. */
function rotaryTurn(D, dim, interleaved, seed) {
  const turn = eye(D);
  for (let n = 0; n < dim / 2; ++n) {
    const [i, j] = interleaved ? [2 * n, 2 * n + 1] : [n, n + dim / 2];
    const angle = seed + n;
    turn[i][i] = turn[j][j] = Math.cos(angle);
    turn[j][i] = Math.sin(angle);
    turn[i][j] = -turn[j][i];
  }
  if (dim < D) randomTurn(D - dim, seed).forEach((row, i) => row.forEach((x, j) => (turn[dim + i][dim + j] = x)));
  return turn;
}

/** A model whose four key/value heads are two heads twice, each turned in a way of its own: it computes what `half` does. */
async function twins(hw, more, turnOfKeys) {
  const half = await makeTransformer(hw, { ...more, numKvHeads: 2 });
  const model = await makeTransformer(hw, { ...more, numKvHeads: 4 });
  const given = await half.parameters();
  const made = { ...given };
  const D = half.config.headDim;
  for (let n = 0; n < half.config.layers; ++n) {
    const at = `layers.${n}.attention`;
    for (const [name, reader, turnOf] of [
      ["k_proj", "q_proj", turnOfKeys],
      ["v_proj", "out_proj", (h) => randomTurn(D, 100 * n + h)],
    ]) {
      const turns = [0, 1, 2, 3].map((h) => turnOf(h + 10 * n));
      const turned = (matrix, of) => [0, 1, 2, 3].flatMap((h) => multiply(transpose(turns[h]), part(matrix, of(h), D)));
      const set = (name, of, transposed = false) => {
        if (!given[name]) return;
        const result = turned(transposed ? transpose(rows(given[name])) : rows(given[name]), of);
        made[name] = tensor(transposed ? transpose(result) : result);
      };
      for (const suffix of ["weight", "bias"]) set(`${at}.${name}.${suffix}`, (h) => h >> 1);
      set(`${at}.${reader}.weight`, (h) => h, reader === "out_proj");
      if (reader === "q_proj") set(`${at}.q_proj.bias`, (h) => h);
    }
  }
  await model.setParameters(made);
  return { half, model };
}

const logitsOf = async (model) => (await model.forward(batches[0].tokens)).logits.data;

export const groupCases = [
  {
    name: "groupHeads: the mean of neighbours, whatever else stays; as many groups as heads change nothing",
    async run({ hw, expect, entry }) {
      for (const more of [
        {},
        { positions: "rotary", norm: "rms", queryKeyNorm: true },
        { heads: [[0, 2, 3], [3]], positions: "alibi" },
        { numKvHeads: 2, bias: true, positions: "rotary", dtype: "bf16" },
      ]) {
        const model = await makeTransformer(hw, more);
        const [D, G] = [model.config.headDim, model.config.numKvHeads];
        const count = headCounts(model)[0];
        await (await model.attention(0)).setHeadGates(Float32Array.from({ length: count }, (_, h) => h / 2));
        const same = await model.groupHeads(G);
        expect(await logitsOf(same), "the same bits").to.deep.equal(await logitsOf(model));
        const turned = await model.groupHeads(G, { method: "procrustes" });
        expect(await logitsOf(turned), "the same bits").to.deep.equal(await logitsOf(model));
        const grouped = await model.groupHeads(G / 2);
        expect(grouped.config).to.deep.equal({ ...model.config, numKvHeads: G / 2 });
        const attention = await grouped.attention(0);
        const gates = entry === "headwise" ? attention.headGates : await attention.getHeadGates();
        expect([...gates]).to.deep.equal(Array.from({ length: count }, (_, h) => h / 2));
        const [before, after] = [await model.parameters(), await grouped.parameters()];
        expect(Object.keys(after)).to.deep.equal(Object.keys(before));
        for (const [name, { data }] of Object.entries(after)) {
          const [, layer, kind] = /^layers\.(\d+)\.attention\.([kv])_proj/.exec(name) ?? [];
          if (kind === undefined) {
            expect(data, name).to.deep.equal(before[name].data);
            continue;
          }
          const heads = [...new Set(model.config.heads[layer].map((h) => Math.floor((h * G) / 4)))];
          const groups = [...new Set(heads.map((head) => head >> 1))];
          const all = rows(before[name]);
          const means = groups.flatMap((group) => {
            const own = heads.flatMap((head, place) => (head >> 1 === group ? [part(all, place, D)] : []));
            return mean(own).flat();
          });
          const allowed = model.config.dtype === "bf16" ? 2 ** -8 : 1e-7;
          expect(share(data, means), name).to.be.at.most(allowed);
        }
        for (const each of [model, same, turned, grouped]) await each.dispose();
      }
    },
  },
  {
    name: "groupHeads: turned copies of a head become this head again, where their mean does not",
    async run({ hw, expect }) {
      const D = 4;
      for (const [more, turnOfKeys] of [
        [{}, (h) => randomTurn(D, h + 1)],
        [{ positions: "alibi", bias: true }, (h) => randomTurn(D, h + 1)],
        [{ positions: "rotary" }, (h) => rotaryTurn(D, 4, false, h + 1)],
        [{ positions: "rotary", rope: { dim: 2, interleaved: true } }, (h) => rotaryTurn(D, 2, true, h + 1)],
        [
          { positions: "rotary", layerOptions: [{ rope: false }, {}] },
          (h) => (h < 10 ? randomTurn(D, h + 1) : rotaryTurn(D, 4, false, h)),
        ],
        [{ queryKeyNorm: true }, () => eye(D)],
      ]) {
        const { half, model } = await twins(hw, more, turnOfKeys);
        const exact = await logitsOf(half);
        const label = JSON.stringify(more);
        expect(share(await logitsOf(model), exact), `${label}: twins compute the same`).to.be.at.most(1e-5);
        const [turned, mean] = [
          await model.groupHeads(2, { method: "procrustes" }),
          await model.groupHeads(2, { method: "mean" }),
        ];
        expect(share(await logitsOf(turned), exact), `${label}: procrustes`).to.be.at.most(1e-4);
        expect(share(await logitsOf(mean), exact), `${label}: mean`).to.be.above(0.05);
        for (const each of [half, model, turned, mean]) await each.dispose();
      }
    },
  },
  {
    name: "groupHeads: no turn of a head would bring it nearer to its group's mean, by Newton's iteration",
    async run({ hw, expect }) {
      const model = await makeTransformer(hw);
      const D = model.config.headDim;
      const grouped = await model.groupHeads(1, { method: "procrustes" });
      const [before, after] = [await model.parameters(), await grouped.parameters()];
      for (const [name, reader] of [
        ["k_proj", "q_proj"],
        ["v_proj", "out_proj"],
      ]) {
        const at = (parameters, name) => {
          const weight = rows(parameters[`layers.0.attention.${name}.weight`]);
          return name === "out_proj" ? transpose(weight) : weight;
        };
        const withBias = (parameters) => {
          const { data } = parameters[`layers.0.attention.${name}.bias`];
          return at(parameters, name).map((row, n) => [...row, data[n]]);
        };
        const turned = range(4).map((h) => {
          // From what reads the head: Rᵀ x = y, of x and y [D, E].
          const [x, y] = [part(at(before, reader), h, D), part(at(after, reader), h, D)];
          const turn = multiply(inverse(multiply(x, transpose(x))), multiply(x, transpose(y)));
          expect(share(multiply(transpose(turn), turn).flat(), eye(D).flat()), "a turn").to.be.at.most(1e-4);
          return { turn, head: part(withBias(before), h, D) };
        });
        const middle = mean(turned.map(({ turn, head }) => multiply(transpose(turn), head)));
        expect(share(withBias(after).flat(), middle.flat()), "the mean").to.be.at.most(1e-4);
        for (const { turn, head } of turned) {
          const best = polar(multiply(head, transpose(middle)));
          expect(share(turn.flat(), best.flat()), "the best turn").to.be.at.most(0.02);
        }
      }
      await grouped.dispose();
      await model.dispose();
    },
  },
  {
    name: "groupHeads: opened models in groups generate, learn and open again; where files have no place for groups, they are not saved",
    async run({ hw, expect, golden }) {
      const llama = await hw.openModel((await golden("llama3")).folder);
      const grouped = await llama.groupHeads(1, { method: "procrustes" });
      expect(grouped.architecture).to.equal("llama");
      const files = await grouped.save();
      expect(JSON.parse(new TextDecoder().decode(files["config.json"])).num_key_value_heads).to.equal(1);
      const again = await hw.openModel(files);
      const tokens = Int32Array.of(5, 9, 11, 40, 7, 3);
      const logits = async (model) => (await model.forward(tokens)).logits.data;
      expect(await logits(again)).to.deep.equal(await logits(grouped));
      const written = [];
      for await (const token of grouped.generate(tokens, { maxTokens: 3, temperature: 0, stop: [] }))
        written.push(token);
      expect(written).to.have.length(3);
      const targets = Int32Array.of(9, 11, 40, 7, 3, -1);
      const optimizer = await hw.adamW({ lr: 0.01 });
      const { loss } = await grouped.evaluate(tokens, targets);
      for (let n = 0; n < 5; ++n) await grouped.trainStep(tokens, targets, optimizer);
      expect((await grouped.evaluate(tokens, targets)).loss).to.be.below(loss);
      const smaller = await grouped.prune({ 0: [1] });
      expect(await logits(smaller)).to.have.length(again.config.vocabSize * 6);
      const int8 = await llama.convert({ dtype: "int8" });
      const int8Grouped = await int8.groupHeads(1);
      expect(int8Grouped.dtype).to.equal("int8");
      const mean = await llama.groupHeads(1);
      expect(share(await logits(int8Grouped), await logits(mean))).to.be.within(1e-6, 0.05);

      const gpt2 = await hw.openModel((await golden("gpt2")).folder);
      const two = await gpt2.groupHeads(2);
      expect(two.config.numKvHeads).to.equal(2);
      await expectError(expect, "unsupported", ["save", "gpt2", "key/value heads"], () => two.save());
      const progress = [];
      await (await gpt2.groupHeads(2, { onProgress: (each) => progress.push(each) })).dispose();
      expect(progress.at(-1)).to.deep.equal({ done: 6, total: 6 });
      const { liveObjects } = await hw.memory();
      const controller = new AbortController();
      const onProgress = ({ done }) => done === 2 && controller.abort();
      await expectError(expect, "aborted", [], () => gpt2.groupHeads(2, { signal: controller.signal, onProgress }));
      // A worker that is done before the abort comes sends a model, which is freed when it arrives.
      let left;
      for (let n = 0; n < 50 && left !== liveObjects; ++n) left = (await hw.memory()).liveObjects;
      expect(left).to.equal(liveObjects);
      for (const [groups, options, ...parts] of [
        [3, undefined, "groups", "divides", "4", "3"],
        [0, undefined, "groups", "0"],
        [2, { method: "median" }, "method", '"procrustes"'],
        [2, { groups: 2 }, "groupHeads", '"groups"'],
      ])
        await expectError(expect, "invalid-option", parts, () => gpt2.groupHeads(groups, options));
      for (const each of [llama, grouped, again, smaller, int8, int8Grouped, mean, gpt2, two]) await each.dispose();
      await optimizer.dispose();
      await expectError(expect, "disposed", "disposed", () => gpt2.groupHeads(2));
    },
  },
];
