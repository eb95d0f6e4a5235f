// The transformer of the training row in jax-js: its gradient by valueAndGrad, AdamW by hand, the whole step in one jit.
import { start } from "./jax.mjs";

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPS = 1e-8;
const WEIGHT_DECAY = 0.01;

/** Calls take their arguments over: `use` keeps one for later uses. */
const use = (array) => array.ref;

/** @param parameters of hw.transformer (layer norm, gelu, learned positions, tied embedding), by name */
export async function prepareTraining({ parameters, layers, numHeads, lr, tokens, targets, batch, length, vocabSize }) {
  const { jit, nn, numpy: np, tree, valueAndGrad } = await start();
  const names = Object.keys(parameters);
  const width = parameters["embedding.weight"].shape[1];

  const linear = (p, name, x) => np.matmul(x, np.matrixTranspose(p[`${name}.weight`])).add(p[`${name}.bias`]);
  const norm = (p, name, x) => nn.standardize(x, -1).mul(p[`${name}.weight`]).add(p[`${name}.bias`]);
  const loss = (p, inputs, labels) => {
    const oneHot = nn.oneHot(inputs, vocabSize); // [B * L, V]
    let x = np.matmul(oneHot, use(p["embedding.weight"])).reshape([batch, length, width]).add(p["positions.weight"]);
    for (let n = 0; n < layers; ++n) {
      const name = `layers.${n}`;
      const h = norm(p, `${name}.norm1`, use(x));
      const heads = (part, input) =>
        linear(p, `${name}.attention.${part}_proj`, input).reshape([batch, length, numHeads, width / numHeads]);
      const [q, k, v] = [heads("q", use(h)), heads("k", use(h)), heads("v", h)];
      const attended = nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([batch, length, width]);
      x = x.add(linear(p, `${name}.attention.out_proj`, attended));
      const up = nn.gelu(linear(p, `${name}.feed_forward.up`, norm(p, `${name}.norm2`, use(x))));
      x = x.add(linear(p, `${name}.feed_forward.down`, up));
    }
    const logits = np.matmul(norm(p, "norm", x), np.matrixTranspose(p["embedding.weight"]));
    const logProbabilities = nn.logSoftmax(logits.reshape([batch * length, vocabSize]), -1);
    return logProbabilities
      .mul(nn.oneHot(labels, vocabSize))
      .sum()
      .mul(-1 / (batch * length));
  };

  const step = jit((p, m, v, correction1, correction2, inputs, labels) => {
    const [value, g] = valueAndGrad(loss)(tree.ref(p), inputs, labels);
    const newP = {};
    const newM = {};
    const newV = {};
    for (const name of names) {
      newM[name] = m[name].mul(BETA1).add(use(g[name]).mul(1 - BETA1));
      newV[name] = v[name].mul(BETA2).add(
        use(g[name])
          .mul(g[name])
          .mul(1 - BETA2),
      );
      const ratio = use(newM[name])
        .mul(use(correction1))
        .div(np.sqrt(use(newV[name]).mul(use(correction2))).add(EPS));
      const decay = parameters[name].shape.length > 1 ? 1 - lr * WEIGHT_DECAY : 1;
      newP[name] = p[name].mul(decay).sub(ratio.mul(lr));
    }
    return [value, newP, newM, newV];
  });

  const arrays = (make) => Object.fromEntries(names.map((name) => [name, make(parameters[name])]));
  let p = arrays(({ data, shape }) => np.array(data, { shape }));
  let m = arrays(({ shape }) => np.zeros(shape));
  let v = arrays(({ shape }) => np.zeros(shape));
  const indices = (data) => np.array(data, { shape: [batch * length], dtype: np.int32 });
  let steps = 0;
  return {
    /** @returns the loss before the step */
    async run() {
      ++steps;
      const corrections = [1 / (1 - BETA1 ** steps), 1 / (1 - BETA2 ** steps)].map((c) => np.array(c));
      let value;
      [value, p, m, v] = step(p, m, v, ...corrections, indices(tokens), indices(targets));
      const [result] = await value.data();
      return result;
    },
    dispose() {
      step.dispose();
      for (const arraysByName of [p, m, v]) tree.dispose(arraysByName);
    },
  };
}
