// The table of everything that JavaScript can call. It only lists: conversions are in engine.cpp, checks in the
// TypeScript package.
#include <emscripten/bind.h>

#include "engine.hpp"
#include "learning.hpp"

namespace headwise::bindings {
namespace {

// A pointer in a struct of the core is an address in JavaScript.
template <auto kField>
struct Address;
template <class Struct, class T, T* Struct::*kField>
struct Address<kField> {
  static Pointer get(const Struct& from) { return reinterpret_cast<Pointer>(from.*kField); }
  static void set(Struct& to, Pointer address) { to.*kField = at<T>(address); }
};

}  // namespace

EMSCRIPTEN_BINDINGS(headwise) {
  using namespace emscripten;

  value_object<VisibilityCall>("VisibilityCall")
      .field("maskType", &VisibilityCall::mask_type)
      .field("mask", &VisibilityCall::mask)
      .field("maskBatch", &VisibilityCall::mask_batch)
      .field("maskHeads", &VisibilityCall::mask_heads)
      .field("maskQueries", &VisibilityCall::mask_queries)
      .field("maskKeys", &VisibilityCall::mask_keys)
      .field("keyMask", &VisibilityCall::key_mask)
      .field("keyMaskBatch", &VisibilityCall::key_mask_batch)
      .field("keyMaskKeys", &VisibilityCall::key_mask_keys)
      .field("causal", &VisibilityCall::causal)
      .field("windowLeft", &VisibilityCall::window_left)
      .field("windowRight", &VisibilityCall::window_right)
      .field("offsets", &VisibilityCall::offsets)
      .field("keyLengths", &VisibilityCall::key_lengths);

  value_object<AttentionCall>("AttentionCall")
      .field("batch", &AttentionCall::batch)
      .field("heads", &AttentionCall::heads)
      .field("kvHeads", &AttentionCall::kv_heads)
      .field("queries", &AttentionCall::queries)
      .field("past", &AttentionCall::past)
      .field("keys", &AttentionCall::keys)
      .field("headDim", &AttentionCall::head_dim)
      .field("valueHeadDim", &AttentionCall::value_head_dim)
      .field("headsFirst", &AttentionCall::heads_first)
      .field("query", &AttentionCall::query)
      .field("key", &AttentionCall::key)
      .field("value", &AttentionCall::value)
      .field("output", &AttentionCall::output)
      .field("pastKey", &AttentionCall::past_key)
      .field("pastValue", &AttentionCall::past_value)
      .field("presentKey", &AttentionCall::present_key)
      .field("presentValue", &AttentionCall::present_value)
      .field("weights", &AttentionCall::weights)
      .field("gates", &AttentionCall::gates)
      .field("weightsStage", &AttentionCall::weights_stage)
      .field("scale", &AttentionCall::scale)
      .field("softcap", &AttentionCall::softcap);

  value_object<RotaryCall>("RotaryCall")
      .field("batch", &RotaryCall::batch)
      .field("heads", &RotaryCall::heads)
      .field("length", &RotaryCall::length)
      .field("headDim", &RotaryCall::head_dim)
      .field("headsFirst", &RotaryCall::heads_first)
      .field("input", &RotaryCall::input)
      .field("output", &RotaryCall::output)
      .field("dim", &RotaryCall::dim)
      .field("interleaved", &RotaryCall::interleaved)
      .field("base", &RotaryCall::base)
      .field("positions", &RotaryCall::positions)
      .field("cos", &RotaryCall::cos)
      .field("sin", &RotaryCall::sin);

  value_object<AnalysisCall>("AnalysisCall")
      .field("batch", &AnalysisCall::batch)
      .field("heads", &AnalysisCall::heads)
      .field("queries", &AnalysisCall::queries)
      .field("keys", &AnalysisCall::keys)
      .field("weights", &AnalysisCall::weights)
      .field("statistics", &AnalysisCall::statistics)
      .field("tokens", &AnalysisCall::tokens)
      .field("tokensOfEachRow", &AnalysisCall::tokens_of_each_row);

  value_object<ForwardArgs>("ForwardArgs")
      .field("batch", &ForwardArgs::B)
      .field("queries", &ForwardArgs::L)
      .field("keys", &ForwardArgs::S)
      .field("query", &Address<&ForwardArgs::query>::get, &Address<&ForwardArgs::query>::set)
      .field("key", &Address<&ForwardArgs::key>::get, &Address<&ForwardArgs::key>::set)
      .field("value", &Address<&ForwardArgs::value>::get, &Address<&ForwardArgs::value>::set)
      .field("queryPositions", &Address<&ForwardArgs::query_positions>::get,
             &Address<&ForwardArgs::query_positions>::set)
      .field("keyPositions", &Address<&ForwardArgs::key_positions>::get, &Address<&ForwardArgs::key_positions>::set)
      .field("inputs", &ForwardArgs::inputs)
      .field("output", &Address<&ForwardArgs::output>::get, &Address<&ForwardArgs::output>::set)
      .field("weights", &Address<&ForwardArgs::weights>::get, &Address<&ForwardArgs::weights>::set)
      .field("weightsStage", &ForwardArgs::stage)
      .field("headOutput", &ForwardArgs::head_output)
      .field("heads", &Address<&ForwardArgs::heads>::get, &Address<&ForwardArgs::heads>::set);

  value_object<MultiHeadAttentionConfig>("MultiHeadAttentionConfig")
      .field("embedDim", &MultiHeadAttentionConfig::embed_dim)
      .field("numHeads", &MultiHeadAttentionConfig::num_heads)
      .field("numKvHeads", &MultiHeadAttentionConfig::num_kv_heads)
      .field("headDim", &MultiHeadAttentionConfig::head_dim)
      .field("valueHeadDim", &MultiHeadAttentionConfig::value_head_dim)
      .field("keyDim", &MultiHeadAttentionConfig::key_dim)
      .field("valueDim", &MultiHeadAttentionConfig::value_dim)
      .field("outputDim", &MultiHeadAttentionConfig::output_dim)
      .field("qkvBias", &MultiHeadAttentionConfig::qkv_bias)
      .field("outBias", &MultiHeadAttentionConfig::out_bias)
      .field("scale", &MultiHeadAttentionConfig::scale)
      .field("softcap", &MultiHeadAttentionConfig::softcap)
      .field("ropeDim", &MultiHeadAttentionConfig::rope_dim)
      .field("ropeBase", &MultiHeadAttentionConfig::rope_base)
      .field("ropeInterleaved", &MultiHeadAttentionConfig::rope_interleaved)
      .field("ropeFactor", &MultiHeadAttentionConfig::rope_factor)
      .field("alibi", &MultiHeadAttentionConfig::alibi)
      .field("queryKeyNorm", &MultiHeadAttentionConfig::query_key_norm)
      .field("normEpsilon", &MultiHeadAttentionConfig::norm_epsilon)
      .field("weightFormat", &MultiHeadAttentionConfig::weight_format);

  value_object<NormConfig>("NormConfig")
      .field("kind", &NormConfig::kind)
      .field("bias", &NormConfig::bias)
      .field("epsilon", &NormConfig::epsilon);

  value_object<TransformerConfig>("TransformerConfig")
      .field("vocabSize", &TransformerConfig::vocab_size)
      .field("contextLength", &TransformerConfig::context_length)
      .field("layers", &TransformerConfig::layers)
      .field("embedDim", &TransformerConfig::embed_dim)
      .field("numHeads", &TransformerConfig::num_heads)
      .field("numKvHeads", &TransformerConfig::num_kv_heads)
      .field("headDim", &TransformerConfig::head_dim)
      .field("feedForwardDim", &TransformerConfig::feed_forward_dim)
      .field("causal", &TransformerConfig::causal)
      .field("dropout", &TransformerConfig::dropout)
      .field("seed", &TransformerConfig::seed)
      .field("norm", &TransformerConfig::norm)
      .field("normBefore", &TransformerConfig::norm_before)
      .field("normAfter", &TransformerConfig::norm_after)
      .field("normAfterSum", &TransformerConfig::norm_after_sum)
      .field("parallel", &TransformerConfig::parallel)
      .field("sharedNorm", &TransformerConfig::shared_norm)
      .field("embeddingNorm", &TransformerConfig::embedding_norm)
      .field("finalNorm", &TransformerConfig::final_norm)
      .field("queryKeyNorm", &TransformerConfig::query_key_norm)
      .field("qkvBias", &TransformerConfig::qkv_bias)
      .field("outBias", &TransformerConfig::out_bias)
      .field("feedForwardBias", &TransformerConfig::feed_forward_bias)
      .field("activation", &TransformerConfig::activation)
      .field("gated", &TransformerConfig::gated)
      .field("positions", &TransformerConfig::positions)
      .field("scale", &TransformerConfig::scale)
      .field("softcap", &TransformerConfig::softcap)
      .field("embeddingScale", &TransformerConfig::embedding_scale)
      .field("tokenTypes", &TransformerConfig::token_types)
      .field("patchDim", &TransformerConfig::patch_dim)
      .field("registerTokens", &TransformerConfig::register_tokens)
      .field("patchBias", &TransformerConfig::patch_bias)
      .field("classToken", &TransformerConfig::class_token)
      .field("head", &TransformerConfig::head)
      .field("tieEmbeddings", &TransformerConfig::tie_embeddings)
      .field("headBias", &TransformerConfig::head_bias)
      .field("headTransform", &TransformerConfig::head_transform)
      .field("logitSoftcap", &TransformerConfig::logit_softcap)
      .field("pooling", &TransformerConfig::pooling)
      .field("poolerActivation", &TransformerConfig::pooler_activation)
      .field("classes", &TransformerConfig::classes)
      .field("classBias", &TransformerConfig::class_bias)
      .field("readoutBias", &TransformerConfig::readout_bias)
      .field("weightFormat", &TransformerConfig::weight_format);

  value_object<BatchCall>("BatchCall")
      .field("batch", &BatchCall::batch)
      .field("length", &BatchCall::length)
      .field("tokens", &BatchCall::tokens)
      .field("patches", &BatchCall::patches)
      .field("patchPositions", &BatchCall::patch_positions)
      .field("positions", &BatchCall::positions)
      .field("tokenTypes", &BatchCall::token_types)
      .field("mask", &BatchCall::mask)
      .field("targets", &BatchCall::targets)
      .field("pooledRows", &BatchCall::pooled_rows);

  value_object<InsideCall>("InsideCall")
      .field("captures", &InsideCall::captures)
      .field("weightsStage", &InsideCall::weights_stage)
      .field("headOutput", &InsideCall::head_output)
      .field("edits", &InsideCall::edits)
      .field("editCount", &InsideCall::edit_count);
  value_object<DifferentiateResult>("DifferentiateResult")
      .field("status", &DifferentiateResult::status)
      .field("value", &DifferentiateResult::value);
  value_object<OutputsCall>("OutputsCall")
      .field("logits", &OutputsCall::logits)
      .field("logitRows", &OutputsCall::logit_rows)
      .field("hidden", &OutputsCall::hidden)
      .field("normScale", &OutputsCall::norm_scale)
      .field("pooled", &OutputsCall::pooled)
      .field("classes", &OutputsCall::classes)
      .field("inside", &OutputsCall::inside);

  value_object<LossResult>("LossResult")
      .field("status", &LossResult::status)
      .field("loss", &LossResult::loss)
      .field("count", &LossResult::count)
      .field("correct", &LossResult::correct);

  value_object<AdamWStep>("AdamWStep")
      .field("learningRate", &AdamWStep::learning_rate)
      .field("beta1", &AdamWStep::beta1)
      .field("beta2", &AdamWStep::beta2)
      .field("epsilon", &AdamWStep::epsilon)
      .field("weightDecay", &AdamWStep::weight_decay)
      .field("correction1", &AdamWStep::correction1)
      .field("correction2", &AdamWStep::correction2)
      .field("gradientScale", &AdamWStep::gradient_scale);

  class_<KvCache>("KvCache");
  class_<Moments>("Moments");
  class_<Sequence>("Sequence").function("reset", &Sequence::reset);

  class_<Model>("Model")
      .function("getParameter", &Model::get_parameter)
      .function("setParameter", &Model::set_parameter)
      .function("getParameterPart", &Model::get_parameter_part)
      .function("setParameterPart", &Model::set_parameter_part)
      .function("getRawRows", &Model::get_raw_rows)
      .function("setRawRows", &Model::set_raw_rows)
      .function("getGradient", &Model::get_gradient)
      .function("getGateGradient", &Model::get_gate_gradient)
      .function("enableGradients", &Model::enable_gradients)
      .function("setFrequencies", &Model::set_frequencies)
      .function("enableGateGradients", &Model::enable_gate_gradients)
      .function("zeroGradients", &Model::zero_gradients)
      .function("forward", &Model::forward)
      .function("evaluate", &Model::evaluate)
      .function("accumulate", &Model::accumulate)
      .function("gateGradients", &Model::gate_gradients)
      .function("startSequence", &Model::start_sequence)
      .function("decode", &Model::decode)
      .function("differentiate", &Model::differentiate)
      .function("attention", &Model::attention)
      .function("keepHeads", &Model::keep_heads)
      .function("moments", &Model::moments)
      .function("sumOfSquares", &Model::sum_of_squares)
      .function("update", &Model::update);

  class_<Module>("Module")
      .function("getParameter", &Module::get_parameter)
      .function("setParameter", &Module::set_parameter)
      .function("getGates", &Module::get_gates)
      .function("setGates", &Module::set_gates)
      .function("getSlope", &Module::get_slope)
      .function("setSlope", &Module::set_slope)
      .function("forward", select_overload<Status(const ForwardArgs&, KvCache*)>(&Module::forward),
                allow_raw_pointers())
      .function("forward", select_overload<Status(ForwardArgs, KvCache*, const VisibilityCall&)>(&Module::forward),
                allow_raw_pointers())
      .function("trainForward",
                select_overload<Status(const ForwardArgs&, float, std::uint32_t)>(&Module::train_forward))
      .function("trainForward", select_overload<Status(ForwardArgs, float, std::uint32_t, const VisibilityCall&)>(
                                    &Module::train_forward))
      .function("backward", &Module::backward)
      .function("getGradient", &Module::get_gradient)
      .function("getGateGradient", &Module::get_gate_gradient)
      .function("zeroGradients", &Module::zero_gradients)
      .function("keepHeads", &Module::keep_heads)
      .function("cache", &Module::cache)
      .function("enableGradients", &Module::enable_gradients)
      .function("moments", &Module::moments)
      .function("sumOfSquares", &Module::sum_of_squares)
      .function("update", &Module::update);

  class_<Engine>("Engine")
      .constructor<std::size_t, std::size_t>()
      .function("status", &Engine::status)
      .function("stage", &Engine::stage)
      .function("releaseBuffers", &Engine::release_buffers)
      .function("attention", select_overload<Status(const AttentionCall&)>(&Engine::attention))
      .function("attention", select_overload<Status(const AttentionCall&, const VisibilityCall&)>(&Engine::attention))
      .function("rotaryEmbedding", &Engine::rotary_embedding)
      .function("analyzeHeads", select_overload<Status(const AnalysisCall&)>(&Engine::analyze_heads))
      .function("analyzeHeads",
                select_overload<Status(const AnalysisCall&, const VisibilityCall&)>(&Engine::analyze_heads))
      .function("multiHeadAttention", &Engine::multi_head_attention)
      .function("transformer", &Engine::transformer)
      .function("emptyTransformer", &Engine::empty_transformer)
      .function("usedBytes", &Engine::used_bytes);
}

}  // namespace headwise::bindings
