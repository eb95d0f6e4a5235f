import type { Tensor, WorkerHeadwise } from "headwise";

/** y = W x + b for each row of x: [T, in] → [T, out]. */
export type Linear = (x: Tensor, signal: AbortSignal) => Promise<Tensor>;

/**
 * A linear layer that the library computes: the values of an attention module with one head, whose tokens see only themselves.
 * `weight` is [out, in], `bias` [out].
 */
export async function makeLinear(hw: WorkerHeadwise, weight: Tensor, bias: Tensor): Promise<Linear> {
  const [outDim, inDim] = weight.shape as [number, number];
  const shape = { numHeads: 1, headDim: 1, valueHeadDim: outDim, outputDim: 1 };
  const module = await hw.multiHeadAttention({ embedDim: inDim, ...shape });
  await module.setParameters({ "v_proj.weight": weight, "v_proj.bias": bias });
  return async (x, signal) => {
    const { heads } = await module.forward(x, { window: { left: 0, right: 0 }, return: { heads: "values" }, signal });
    return { data: heads!.data, shape: [x.shape[0], outDim] };
  };
}

/** [T, n · H · D] → n tensors [H, T, D]. */
export function splitColumns({ data, shape }: Tensor, parts: number, heads: number): Tensor[] {
  const [rows, columns] = shape as [number, number];
  const width = columns / parts / heads;
  return Array.from({ length: parts }, (_, part) => {
    const split = new Float32Array(heads * rows * width);
    for (let head = 0; head < heads; ++head) {
      for (let row = 0; row < rows; ++row) {
        const from = row * columns + (part * heads + head) * width;
        split.set(data.subarray(from, from + width), (head * rows + row) * width);
      }
    }
    return { data: split, shape: [heads, rows, width] };
  });
}
