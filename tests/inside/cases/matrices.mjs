// Small matrices in double precision, as arrays of rows.
export const range = (n) => Array.from({ length: n }, (_, i) => i);
export const eye = (n) => range(n).map((i) => range(n).map((j) => Number(i === j)));
export const transpose = (a) => a[0].map((_, j) => a.map((row) => row[j]));
export const multiply = (a, b) => a.map((row) => b[0].map((_, j) => row.reduce((sum, x, k) => sum + x * b[k][j], 0)));
export const combine = (a, b, of) => a.map((row, i) => row.map((x, j) => of(x, b[i][j])));
export const mean = (matrices) =>
  matrices.reduce((sum, each) => combine(sum, each, (x, y) => x + y)).map((row) => row.map((x) => x / matrices.length));

/** Gauss and Jordan, with pivots. */
export function inverse(a) {
  const n = a.length;
  const rows = a.map((row, i) => [...row, ...eye(n)[i]]);
  for (let k = 0; k < n; ++k) {
    const pivot = range(n)
      .slice(k)
      .reduce((best, i) => (Math.abs(rows[i][k]) > Math.abs(rows[best][k]) ? i : best));
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    rows[k] = rows[k].map((x) => x / rows[k][k]);
    rows.forEach((row, i) => {
      if (i !== k) rows[i] = row.map((x, j) => x - row[k] * rows[k][j]);
    });
  }
  return rows.map((row) => row.slice(n));
}

/** The orthogonal factor of a matrix by Newton's iteration, without singular vectors (Higham 1986). */
export function polar(a) {
  let x = a;
  for (let n = 0; n < 100; ++n) x = combine(x, transpose(inverse(x)), (y, z) => (y + z) / 2);
  return x;
}
