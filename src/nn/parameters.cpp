// The parameters of a module: initialisation, and the copies of the remaining ones in pruning.
#include <algorithm>
#include <random>

#include "nn/initialize.hpp"
#include "nn/multi_head_attention.hpp"

namespace headwise {
namespace {

// Floats of the largest weight matrix.
template <class Projections>
std::uint64_t largest_weight(const Projections& projections) {
  std::uint64_t largest = 0;
  for (const Linear& projection : projections) {
    largest = std::max(largest, std::uint64_t{projection.inputs()} * projection.outputs());
  }
  return largest;
}

}  // namespace

Status MultiHeadAttention::initialize(std::uint32_t seed, Context& context) {
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(largest_weight(projections_)));
  float* weight = context.arena.take(0);  // [outputs, inputs] of one projection after the other
  std::mt19937 generator(seed);
  for (Linear& projection : projections_) initialize_uniform(projection, generator, weight);
  return Status::kOk;
}

Status MultiHeadAttention::keep_heads(const std::uint32_t* kept, std::size_t count, MultiHeadAttention& smaller) const {
  // The key/value heads that are still read, in order, and for each kept head the one that it reads.
  AlignedBuffer lists;
  HEADWISE_RETURN_IF_ERROR(lists.reserve(2 * std::uint64_t{count}));
  auto* kept_kv = reinterpret_cast<std::uint32_t*>(lists.data());
  std::uint32_t* kv_of_kept = kept_kv + count;
  std::size_t kv_count = 0;
  for (std::size_t n = 0; n < count; ++n) {
    const std::uint32_t g = kv_heads()[kept[n]];
    if (kv_count == 0 || kept_kv[kv_count - 1] != g) kept_kv[kv_count++] = g;
    kv_of_kept[n] = static_cast<std::uint32_t>(kv_count - 1);
  }

  MultiHeadAttentionConfig config = config_;
  config.num_heads = count;
  config.num_kv_heads = kv_count;
  HEADWISE_RETURN_IF_ERROR(smaller.create(config, kv_of_kept));
  // A head owns rows of the query, key and value projections and their biases, and columns of the output projection,
  // whose bias belongs to no head.
  const std::size_t D = config.head_dim, Dv = config.value_head_dim;
  const Kept all{}, values{kept_kv, Dv}, outputs[] = {{kept, D}, {kept_kv, D}, values, all};
  for (std::size_t p = 0; p < kProjections; ++p) {
    const Kept inputs = p == kOut ? Kept{kept, Dv} : all;
    smaller.projections_[p].keep(projections_[p], outputs[p], inputs);
  }
  smaller.query_norm_.copy_parameters(query_norm_);
  smaller.key_norm_.copy_parameters(key_norm_);
  for (std::size_t h = 0; h < count; ++h) {
    smaller.gates_.data()[h] = gates_.data()[kept[h]];
    if (config.alibi) smaller.slopes_.data()[h] = slopes_.data()[kept[h]];
  }
  return Status::kOk;
}

}  // namespace headwise
