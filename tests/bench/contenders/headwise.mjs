// Ourselves, as a user has us: the package's public API.

export const name = "headwise";
export const threadCounts = [1, 2];

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

/** Another build of ourselves, from the folder that --before names: a change's effect, in the same run. */
export const before = {
  name: "before",
  threadCounts,
  prepare: (row, kind, inputs, options) =>
    prepare(row, kind, inputs, { ...options, folders: { headwise: options.folders.before } }),
};
