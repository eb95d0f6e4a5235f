/** Turns of heads: orthogonal matrices after which the heads of a group agree as well as they can. */
import { Matrix, SingularValueDecomposition } from "ml-matrix";

/** The elements of a head [D] that may be mixed: all together, or each of these pairs for itself, which rotary embedding turns as one. */
export interface Freedom {
  readonly pairs: readonly (readonly [number, number])[];
  readonly others: readonly number[];
}

/** The orthogonal R with the largest tr(Rᵀ C): of the nearest to a matrix (Schönemann 1966). */
function nearestTurn(c: Matrix, { pairs, others }: Freedom): Matrix {
  const turn = Matrix.zeros(c.rows, c.rows);
  for (const [i, j] of pairs) {
    const [cos, sin] = [c.get(i, i) + c.get(j, j), c.get(j, i) - c.get(i, j)];
    const size = Math.hypot(cos, sin);
    const [x, y] = size === 0 ? [1, 0] : [cos / size, sin / size];
    turn.set(i, i, x).set(j, j, x).set(j, i, y).set(i, j, -y);
  }
  if (others.length > 0) {
    const part = c.selection([...others], [...others]);
    const { leftSingularVectors: u, rightSingularVectors: v } = new SingularValueDecomposition(part);
    const rotation = u.mmul(v.transpose());
    others.forEach((i, row) => others.forEach((j, column) => turn.set(i, j, rotation.get(row, column))));
  }
  return turn;
}

/** Rounds of the alignment; what a round gains at the end is below a millionth. */
const [mostRounds, leastGain] = [50, 1e-6];

/**
 * A turn R for each matrix A [D, E] of a group, for which the matrices Rᵀ A are near to their mean: generalized Procrustes analysis
 * (Gower 1975). The first turn is towards the first matrix; then each round turns all towards their mean.
 */
export function alignHeads(matrices: readonly Matrix[], freedom: Freedom): Matrix[] {
  if (matrices.length === 1) return [Matrix.eye(matrices[0]!.rows)];
  const products = matrices.map((a) => matrices.map((b) => a.mmul(b.transpose())));
  let turns = products.map(([first]) => nearestTurn(first!, freedom));
  for (let [round, before] = [0, 0]; round < mostRounds; ++round) {
    const towards = products.map((row) => row.map((c, j) => c.mmul(turns[j]!)).reduce((sum, c) => Matrix.add(sum, c)));
    turns = towards.map((c) => nearestTurn(c, freedom));
    const agreement = towards.reduce((sum, c, i) => sum + turns[i]!.transpose().mmul(c).trace(), 0);
    if (agreement - before <= leastGain * agreement) break;
    before = agreement;
  }
  return turns;
}
