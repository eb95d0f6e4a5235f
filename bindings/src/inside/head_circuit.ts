/** The circuits of one head between tokens: what it attends to (QK), and what it then writes (OV). */
import { EigenvalueDecomposition, Matrix, SingularValueDecomposition } from "ml-matrix";

import { checkInteger, checkOneOf, integer } from "../base/checks.js";
import type { LongWork } from "../base/long_work.js";
import { readOptions, withDefault, type OptionTable } from "../base/options.js";
import { counter } from "../heads/batches.js";
import type { Instance } from "../runtime/instance.js";
import { checkFoldNorms, circuitMatrices, gramRoot, multiply, refuseFolding } from "./folded.js";
import { checkLanguageModel, checkTextModel, unsupported } from "./model.js";
import { largestPairs, pairSteps } from "./token_pairs.js";
import type { HeadCircuit, HeadCircuitOptions } from "./types.js";
import { outputMatrix, ParameterReader } from "./weights.js";

const optionTable = {
  foldNorms: withDefault(checkFoldNorms, true),
  pairs: withDefault(integer(0, 1000), 10),
} satisfies OptionTable<HeadCircuitOptions>;

/** Rows of the vocabulary in one product. */
const rowsAtOnce = 1024;

const square = (data: ArrayLike<number>, D: number) =>
  new Matrix(Array.from({ length: D }, (_, i) => Array.from({ length: D }, (_, j) => data[i * D + j]!)));

/** Singular values of Aᵀ B, of A and B [D, E], the largest first: those of R_A R_Bᵀ. */
function singularValues(a: Float32Array, b: Float32Array, E: number): Float32Array {
  const D = a.length / E;
  const [rootA, rootB] = [a, b].map((matrix) => square(gramRoot(matrix, E), D));
  const product = rootA!.mmul(rootB!.transpose());
  const { diagonal } = new SingularValueDecomposition(product, {
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
  });
  return Float32Array.from(diagonal);
}

/** Σ over the tokens of one row times the other: [D, D] of A and B [V, D]. */
function sumOfProducts(a: Float32Array, b: Float32Array, D: number): Float64Array {
  const sum = new Float64Array(D * D);
  for (let row = 0; row < a.length; row += D)
    for (let i = 0; i < D; ++i) {
      const factor = a[row + i]!;
      for (let j = 0; j < D; ++j) sum[i * D + j]! += factor * b[row + j]!;
    }
  return sum;
}

/** Less the mean of the rows, as of logits that are centred over the vocabulary. */
function centreColumns(rows: Float32Array, D: number): void {
  const mean = new Float64Array(D);
  rows.forEach((value, n) => (mean[n % D]! += (value * D) / rows.length));
  rows.forEach((value, n) => (rows[n] = value - mean[n % D]!));
}

export function* headCircuit(
  instance: Instance,
  modelLike: unknown,
  layerLike: number,
  headLike: number,
  kindLike: "QK" | "OV",
  optionsLike?: HeadCircuitOptions,
): LongWork<HeadCircuit> {
  const { foldNorms, pairs: count } = readOptions(optionsLike, "headCircuit", optionTable);
  const kind = checkOneOf(kindLike, "circuit", ["QK", "OV"] as const);
  const check = kind === "OV" ? checkLanguageModel : checkTextModel;
  const model = check(modelLike, instance, "headCircuit");
  const { config } = model;
  if (foldNorms) refuseFolding(model, "headCircuit");
  if (kind === "OV" && config.headTransform)
    throw unsupported(
      "headCircuit",
      "the model has a layer between its last norm and its logits (headTransform); expected none",
    );
  const layer = checkInteger(layerLike, "layer", 0, config.layers - 1);
  const head = checkInteger(headLike, "head", 0, config.heads[layer]!.length - 1);
  const { embedDim: E, headDim: D, vocabSize: V, embeddingScale } = config;
  const reader = new ParameterReader(model);
  const { q, k, v, o } = circuitMatrices(model, layer, foldNorms, reader)[head]!;
  const last = foldNorms ? reader.find("norm.weight") : undefined;
  const written = last ? o.map((value, n) => value * last[n % E]!) : o;
  // The circuit is W_E first second W_U, or W_E first second W_Eᵀ.
  const [first, second, ends] = kind === "QK" ? [q, k, "embedding.weight"] : [v, written, outputMatrix(model)];
  const [sources, targets] = [0, 1].map(() => new Float32Array(V * D));
  const step = counter(Math.ceil(V / rowsAtOnce) + pairSteps(V));
  for (let row = 0; row < V; row += rowsAtOnce) {
    const embedded = reader.rows("embedding.weight", row, rowsAtOnce).map((value) => value * embeddingScale);
    const ending = kind === "QK" ? embedded : reader.rows(ends, row, rowsAtOnce);
    sources!.set(multiply(instance, embedded, first, E), row * D);
    targets!.set(multiply(instance, ending, second, E), row * D);
    yield step();
  }
  if (kind === "OV" && foldNorms) centreColumns(targets!, D);
  const { realEigenvalues, imaginaryEigenvalues } = new EigenvalueDecomposition(
    square(sumOfProducts(targets!, sources!, D), D),
  );
  const sizes = realEigenvalues.map((real, n) => Math.hypot(real, imaginaryEigenvalues[n]!));
  const order = sizes.map((_, n) => n).sort((one, other) => sizes[other]! - sizes[one]!);
  const [sum, size] = [realEigenvalues, sizes].map((values) => values.reduce((all, value) => all + value, 0));
  return {
    singularValues: { data: singularValues(kind === "QK" ? q : v, kind === "QK" ? k : o, E), shape: [D] },
    eigenvalues: {
      data: Float32Array.from(order.flatMap((n) => [realEigenvalues[n]!, imaginaryEigenvalues[n]!])),
      shape: [D, 2],
    },
    copying: size! > 0 ? sum! / size! : 0,
    pairs: yield* largestPairs(instance, sources!, targets!, D, count, step),
  };
}
