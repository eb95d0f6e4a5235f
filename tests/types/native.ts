// Compiles only if bindings/src/runtime/native.ts says of the embind table what Emscripten itself says of it (--emit-tsd).
import type * as emitted from "../../build/simd128/bindings/headwise-simd128.js";
import type * as ours from "../../bindings/src/runtime/native.js";

type Same<A, B> = [A, B] extends [B, A] ? true : never;

export const structsAgree: [
  Same<emitted.VisibilityCall, ours.VisibilityCall>,
  Same<emitted.AttentionCall, ours.AttentionCall>,
  Same<emitted.RotaryCall, ours.RotaryCall>,
  Same<emitted.AnalysisCall, ours.AnalysisCall>,
  Same<emitted.ForwardArgs, ours.ForwardArgs>,
  Same<emitted.MultiHeadAttentionConfig, ours.NativeConfig>,
  Same<emitted.TransformerConfig, ours.NativeTransformerConfig>,
  Same<emitted.BatchCall, ours.BatchCall>,
  Same<emitted.OutputsCall, ours.OutputsCall>,
  Same<emitted.LossResult, ours.LossResult>,
  Same<emitted.AdamWStep, ours.AdamWStep>,
] = [true, true, true, true, true, true, true, true, true, true, true];

export const moduleAgrees = (module: emitted.MainModule): ours.Native => module;
