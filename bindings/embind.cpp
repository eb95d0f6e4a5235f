// The table of what JavaScript can call. It only lists: conversions are in engine.cpp, checks in the TypeScript
// package.
#include <emscripten/bind.h>

#include "engine.hpp"

namespace headwise::bindings {

EMSCRIPTEN_BINDINGS(headwise) {
  using namespace emscripten;

  enum_<Status>("Status", enum_value_type::number)
      .value("kOk", Status::kOk)
      .value("kInvalidArgument", Status::kInvalidArgument)
      .value("kOutOfMemory", Status::kOutOfMemory)
      .value("kNoThreads", Status::kNoThreads);

  value_object<VisibilityCall>("VisibilityCall")
      .field("maskType", &VisibilityCall::mask_type)
      .field("mask", &VisibilityCall::mask)
      .field("maskBatch", &VisibilityCall::mask_batch)
      .field("maskHeads", &VisibilityCall::mask_heads)
      .field("maskQueries", &VisibilityCall::mask_queries)
      .field("maskKeys", &VisibilityCall::mask_keys)
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
      .field("softcap", &AttentionCall::softcap)
      .field("visibility", &AttentionCall::visibility);

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
      .field("tokensOfEachRow", &AnalysisCall::tokens_of_each_row)
      .field("visibility", &AnalysisCall::visibility);

  value_object<ForwardCall>("ForwardCall")
      .field("batch", &ForwardCall::batch)
      .field("queries", &ForwardCall::queries)
      .field("keys", &ForwardCall::keys)
      .field("query", &ForwardCall::query)
      .field("key", &ForwardCall::key)
      .field("value", &ForwardCall::value)
      .field("queryPositions", &ForwardCall::query_positions)
      .field("keyPositions", &ForwardCall::key_positions)
      .field("output", &ForwardCall::output)
      .field("weights", &ForwardCall::weights)
      .field("weightsStage", &ForwardCall::weights_stage)
      .field("headOutput", &ForwardCall::head_output)
      .field("heads", &ForwardCall::heads)
      .field("visibility", &ForwardCall::visibility);

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
      .field("alibi", &MultiHeadAttentionConfig::alibi);

  class_<KvCache>("KvCache");

  class_<Module>("Module")
      .function("getParameter", &Module::get_parameter)
      .function("setParameter", &Module::set_parameter)
      .function("getGates", &Module::get_gates)
      .function("setGates", &Module::set_gates)
      .function("forward", &Module::forward, allow_raw_pointers())
      .function("keepHeads", &Module::keep_heads)
      .function("cache", &Module::cache);

  class_<Engine>("Engine")
      .constructor<std::size_t>()
      .function("status", &Engine::status)
      .function("stage", &Engine::stage)
      .function("releaseBuffers", &Engine::release_buffers)
      .function("attention", &Engine::attention)
      .function("rotaryEmbedding", &Engine::rotary_embedding)
      .function("analyzeHeads", &Engine::analyze_heads)
      .function("multiHeadAttention", &Engine::multi_head_attention)
      .function("usedBytes", &Engine::used_bytes);
}

}  // namespace headwise::bindings
