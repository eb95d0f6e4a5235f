// Getters of arguments that call back in: they compute, ask for more memory than there is, and dispose. A call reads all its
// arguments first; so what a getter does has happened before the call, or the call is refused.
import { random } from "../reference.mjs";
import { expectError } from "./support.mjs";

const x = random([2, 3, 8], 1);
const tokens = { data: Int32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] };

/** An object that does something when its member `name` is read; where the object had none, it is undefined. */
const doing = (object, name, action) =>
  Object.defineProperty({ ...object }, name, {
    enumerable: true,
    get() {
      action();
      return object[name];
    },
  });

/** The methods that read objects: for each, a call with `read`, which stands in for `doing`. */
const calls = {
  attention: ({ hw }, read) => hw.attention(read(x, "shape"), x, x, { numHeads: 2, causal: true }),
  "attention, the last option": ({ hw }, read) => hw.attention(x, x, x, { numHeads: 2, return: read({}, "present") }),
  rotaryEmbedding: ({ hw }, read) => hw.rotaryEmbedding(x, read({ numHeads: 2 }, "base")),
  analyzeHeads: ({ hw }, read) => hw.analyzeHeads(random([2, 3, 3], 4), read({ causal: true }, "tokens")),
  forward: ({ mha }, read) => mha.forward(x, read({ causal: true }, "mask")),
  "forward with a cache": ({ mha, cache }, read) => mha.forward(x, read({ cache }, "keyLengths")),
  "forward in training": ({ mha }, read) => mha.forward(x, read({ train: true, seed: 3, dropout: 0.5 }, "seed")),
  backward: ({ mha }, read) => mha.backward(read(x, "data")),
  "backward, its options": ({ mha }, read) => mha.backward(x, read({}, "gradWeights")),
  setParameters: ({ mha }, read) =>
    mha.setParameters({ "q_proj.bias": random([8], 2), "k_proj.bias": read(random([8], 3), "shape") }),
  "setParameters, its names": ({ mha }, read) =>
    mha.setParameters(read({ "q_proj.bias": random([8], 2) }, "q_proj.bias")),
  cache: ({ mha }, read) => mha.cache(read({ batch: 1, capacity: 2 }, "capacity")),
  multiHeadAttention: ({ hw }, read) => hw.multiHeadAttention(read({ embedDim: 8, numHeads: 2 }, "seed")),
  transformer: ({ hw, config }, read) => hw.transformer(read(config, "seed")),
  "transformer.forward": ({ model }, read) => model.forward(tokens, { capture: read({ weights: "scores" }, "layers") }),
  evaluate: ({ model }, read) => model.evaluate(tokens, read(tokens, "shape")),
  accumulateGradients: ({ model }, read) => model.accumulateGradients(tokens, read(tokens, "data")),
  trainStep: ({ model, optimizer }, read) => model.trainStep(read(tokens, "data"), tokens, optimizer),
  "transformer.setParameters": ({ model }, read) =>
    model.setParameters({ "norm.bias": random([8], 2), "norm.weight": read(random([8], 3), "data") }),
  "transformer.prune": ({ model }, read) => model.prune(read({ 0: [1] }, 0)),
  save: ({ model }, read) => model.save(read({}, "dtype")),
  adamW: ({ hw }, read) => hw.adamW(read({ lr: 1 }, "eps")),
  step: ({ mha, optimizer }, read) => optimizer.step(readElement([mha], read)),
  headImportance: ({ hw, model }, read) =>
    hw.headImportance(model, [read({ tokens, targets: tokens }, "targets")], { method: "gradient" }),
  pruneByImportance: ({ hw, model }, read) => hw.pruneByImportance(model, [[1, 2]], read({ count: 1 }, "batches")),
};

function readElement(list, read) {
  const object = read({ element: list[0] }, "element");
  return Object.defineProperty([], 0, { get: () => object.element, enumerable: true });
}

async function makeObjects(hw) {
  const config = { vocabSize: 7, contextLength: 3, layers: 1, embedDim: 8, numHeads: 2 };
  const mha = await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
  const [cache, model, optimizer] = [
    await mha.cache({ batch: 2, capacity: 6 }),
    await hw.transformer(config),
    await hw.adamW({ lr: 0.1 }),
  ];
  await mha.forward(x, { train: true });
  return { hw, config, mha, cache, model, optimizer };
}

/** A result as plain data; what it holds in memory is given back. */
async function settle(result, objects) {
  const value = await result;
  if (typeof value?.dispose !== "function" && typeof value?.model?.dispose !== "function")
    return ArrayBuffer.isView(value) ? [...value].slice(-8) : value;
  const made = value.model ?? value;
  const parameters = made.parameters && (await made.parameters());
  if (!Object.values(objects).includes(made)) await made.dispose();
  return parameters ?? "made";
}

/** Everything there is, for a comparison. */
const stateOf = async ({ mha, model, cache }, entry) => [
  await mha.parameters(),
  await mha.gradients(),
  await model.parameters(),
  await model.gradients(),
  [...(entry === "headwise" ? cache.length : await cache.getLength())],
];

const disposeAll = async (objects) => {
  for (const name of ["cache", "mha", "model", "optimizer"]) await objects[name].dispose();
};

const wide = { data: new Float32Array(64 * 4096), shape: [1, 64, 4096, 1] };

export const reentrancyCases = [
  {
    name: "getters that compute, or ask for more memory than there is, change no call that reads them",
    once: true,
    alone: true,
    async run({ hw, expect, entry }) {
      const actions = {
        computes: ({ hw, mha, model }) => {
          const other = random([5, 8], 9);
          return [
            hw.attention(other, other, other),
            mha.forward(other),
            model.forward([1, 2]),
            mha.setParameters({ "v_proj.bias": random([8], 5) }),
          ];
        },
        "asks for too much": ({ hw }) => [
          refused(() => hw.attention(wide, wide, wide, { return: { weights: "scores" } })),
        ],
      };
      const refused = async (call) => {
        let error;
        try {
          await call();
        } catch (caught) {
          error = caught;
        }
        expect(error?.code).to.equal("out-of-memory");
      };
      for (const [what, action] of Object.entries(actions)) {
        for (const [name, call] of Object.entries(calls)) {
          const tapeIsGone = what === "computes" && name.startsWith("backward");
          const outcomes = [];
          for (const inside of [false, true]) {
            const objects = await makeObjects(hw);
            let pending = [];
            const act = () => (pending = action(objects));
            if (!inside) await Promise.all(act());
            const read = inside ? (object, key) => doing(object, key, act) : (object) => object;
            if (tapeIsGone) {
              await expectError(expect, "invalid-option", "train: true", () => call(objects, read));
            } else {
              const result = await settle(call(objects, read), objects);
              await Promise.all(pending);
              if (name !== "pruneByImportance") outcomes.push([result, await stateOf(objects, entry)]);
              else outcomes.push([result]);
            }
            await disposeAll(objects);
          }
          expect(outcomes[1], `${name}, a getter that ${what}`).to.deep.equal(outcomes[0]);
        }
      }
    },
  },
  {
    name: "getters that dispose of what the call needs: it is refused as disposed",
    once: true,
    alone: true,
    async run({ hw, expect, load, entry }) {
      const needs = {
        hw: (name) => name !== "",
        mha: (name) => /^(forward|backward|setParameters|cache|step)/.test(name),
        model: (name) => /^(transformer\.|evaluate|accumulate|trainStep|save|.*Importance)/.test(name),
        cache: (name) => name === "forward with a cache",
        optimizer: (name) => /^(trainStep|step)/.test(name),
      };
      for (const [what, isNeeded] of Object.entries(needs)) {
        for (const [name, call] of Object.entries(calls)) {
          if (!isNeeded(name)) continue;
          if (name === "step" && entry !== "headwise") continue; // its modules are read once they are sent
          const own = what === "hw" ? await load({ threads: 1, simd: hw.info.simd }) : hw;
          const objects = await makeObjects(own);
          const read = (object, key) => doing(object, key, () => void objects[what].dispose());
          await expectError(expect, "disposed", "disposed", async () => settle(await call(objects, read), objects));
          await disposeAll(objects);
          await own[what === "hw" ? "dispose" : "memory"]();
        }
      }
      expect((await hw.memory()).liveObjects).to.equal(0);
    },
  },
  {
    name: "a cache that a getter fills is full, and one that it resets begins anew",
    alone: true,
    async run({ hw, expect, entry }) {
      if (entry !== "headwise") return; // there the getter's call comes first, like any other
      const mha = hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
      const cache = mha.cache({ batch: 2, capacity: 5 });
      const filling = doing({ cache }, "window", () => mha.forward(x, { cache }));
      await expectError(expect, "invalid-option", "capacity of 5", () => mha.forward(x, filling));
      expect([...cache.length]).to.deep.equal([3, 3]);
      const resetting = doing({ cache }, "window", () => cache.reset());
      expect(mha.forward(x, resetting)).to.deep.equal(mha.forward(x, { keyLengths: Int32Array.of(3, 3) }));
      expect([...cache.length]).to.deep.equal([3, 3]);
      mha.dispose();
    },
  },
  {
    name: "arrays that a later getter changes have been read",
    async run({ hw, expect, entry }) {
      const attention = (options) => hw.attention(x, x, x, { numHeads: 2, ...options });
      const keyLengths = Int32Array.of(2, 1);
      const expected = await attention({ keyLengths: keyLengths.slice() });
      if (entry === "headwise") {
        // "keyLengths" is read before "return", and a table's rows in their order.
        const options = { numHeads: 2, keyLengths, return: doing({}, "weights", () => keyLengths.fill(2 ** 30)) };
        expect(hw.attention(x, x, x, options)).to.deep.equal(expected);
        const ids = Int32Array.from(tokens.data);
        const model = hw.transformer({ vocabSize: 7, contextLength: 6, layers: 1, embedDim: 8, numHeads: 2 });
        const logits = model.forward(tokens);
        const capture = doing({}, "weights", () => ids.fill(2 ** 30));
        expect(model.forward({ data: ids, shape: [2, 3] }, { capture })).to.deep.equal(logits);
        model.dispose();
        const tables = { cos: random([9, 4], 1), sin: random([9, 4], 2), numHeads: 1 };
        const positions = Int32Array.of(0, 1, 8, 3, 4, 5);
        const rotated = hw.rotaryEmbedding(x, { ...tables, positions: positions.slice() });
        const sin = doing(tables.sin, "shape", () => positions.fill(2 ** 30));
        expect(hw.rotaryEmbedding(x, { ...tables, positions, sin })).to.deep.equal(rotated);
      }
    },
  },
];
