/** One forward pass with an instance of its own: the same bits wherever the same instruction set runs. */
export async function compute({ load, tensor }, options) {
  try {
    const hw = await load(options);
    const x = tensor(
      Float32Array.from({ length: 64 * 64 }, (_, i) => ((i * 7919) % 256) / 128 - 1), // exact in every engine
      [64, 64],
    );
    const attention = await hw.multiHeadAttention({ embedDim: 64, numHeads: 4, seed: 1 });
    const { output } = await attention.forward(x, { causal: true });
    await hw.dispose();
    return { info: hw.info, output: [...output.data] };
  } catch (error) {
    return { error: `${error.name} ${error.code}: ${error.message}` };
  }
}
