// Ourselves, as a user has us: the package's public API.

export const name = "headwise";
export const threadCounts = [1, 2];

const DECODED = 32; // tokens, until a generator starts anew: the cache is to have about as many keys as the row says

const loaded = new Map();

/** One instance for each number of threads; `folder` is the URL of dist/. */
export async function instance({ folder, simd, threads }) {
  const key = `${folder} ${simd} ${threads}`;
  if (!loaded.has(key)) {
    const { load } = await import(/* @vite-ignore */ `${folder}index.js`);
    loaded.set(key, await load({ threads, simd }));
  }
  return loaded.get(key);
}

export async function prepare(row, kind, inputs, { threads, simd, folders }) {
  const hw = await instance({ folder: folders.headwise, simd, threads });
  const { B, L, S, E, H, causal } = row;
  if (kind === "core") {
    const query = { data: inputs.query, shape: [B, L, E] };
    const key = { data: inputs.key, shape: [B, S, E] };
    const value = { data: inputs.value, shape: [B, S, E] };
    return { run: () => hw.attention(query, key, value, { numHeads: H, causal }).output.data, dispose() {} };
  }
  const mha = hw.multiHeadAttention({ embedDim: E, numHeads: H });
  mha.setParameters(
    Object.fromEntries(
      ["q", "k", "v", "out"].flatMap((p) => [
        [`${p}_proj.weight`, { data: inputs[p].weight, shape: [E, E] }],
        [`${p}_proj.bias`, { data: inputs[p].bias, shape: [E] }],
      ]),
    ),
  );
  const x = { data: inputs.x, shape: [B, L, E] };
  const past = S - L;
  const cache = past > 0 ? mha.cache({ batch: B, capacity: S }) : undefined;
  if (cache) mha.forward({ data: inputs.tokens.subarray(0, past * E), shape: [B, past, E] }, { cache });
  const forget = cache?.checkpoint(); // not public: every run is to decode the same token
  return {
    run() {
      forget?.();
      return mha.forward(x, { cache, causal }).output.data;
    },
    dispose() {
      cache?.dispose();
      mha.dispose();
    },
  };
}

export const graphs = () => [
  { name: "", dtype: "F32", format: "f32" },
  { name: "", dtype: "BF16", format: "bf16" },
  { name: "", dtype: "int8", format: "int8" },
];

/** A whole model; behind tokens in a cache, a generator's steps. */
export async function prepareModel({ config, P }, { format }, { tokens, parameters }, { threads, simd, folders }) {
  const hw = await instance({ folder: folders.headwise, simd, threads });
  const model = hw.transformer({ ...config, ...(format !== "f32" && { dtype: format }) });
  model.setParameters(parameters);
  const dispose = () => model.dispose();
  if (P === 0) {
    const logits = config.causal === false ? "none" : "last";
    return {
      run() {
        const result = model.forward(tokens, { logits });
        return (result.logits ?? result.hidden).data;
      },
      dispose,
    };
  }
  let steps;
  let left = 0;
  const prompt = tokens.subarray(0, P);
  const ready = () => {
    if (left > 0) return;
    left = Math.min(DECODED, config.contextLength - P - 1);
    steps = model.generate(prompt, { maxTokens: left + 1, temperature: 0 });
    steps.next();
  };
  return {
    ready,
    run() {
      ready();
      --left;
      return steps.next().value;
    },
    dispose,
  };
}

/** `openModel` of an instance with so many threads. */
export async function opener({ folders, simd, threads }) {
  const hw = await instance({ folder: folders.headwise, simd, threads });
  return (files) => hw.openModel(files);
}

const beforeOptions = (options) => ({ ...options, folders: { headwise: options.folders.before } });

/** Another build of ourselves, from the folder that --before names: a change's effect, in the same run. */
export const before = {
  name: "before",
  threadCounts,
  graphs: () => graphs().slice(0, 1), // an older build may have F32 alone
  opener: (options) => opener(beforeOptions(options)),
  prepare: (row, kind, inputs, options) => prepare(row, kind, inputs, beforeOptions(options)),
  prepareModel: (row, details, inputs, options) => prepareModel(row, details, inputs, beforeOptions(options)),
};
