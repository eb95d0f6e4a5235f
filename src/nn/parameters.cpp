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

Status MultiHeadAttention::keep_heads(const std::uint32_t* kept, std::size_t count, MultiHeadAttention& smaller,
                                      Context& context) const {
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
  const std::uint64_t largest = largest_weight(projections_);
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(2 * Arena::padded(largest)));
  float* whole = context.arena.take(static_cast<std::size_t>(largest));
  float* part = context.arena.take(static_cast<std::size_t>(largest));

  // Query, key and value projections: a head owns `width` rows of [outputs, inputs], and their biases.
  const auto keep_rows = [&](Projection index, std::size_t width, const std::uint32_t* heads, std::size_t head_count) {
    const Linear& from = projections_[index];
    Linear& to = smaller.projections_[index];
    from.get_weight(whole);
    for (std::size_t h = 0; h < head_count; ++h) {
      std::copy_n(whole + heads[h] * width * from.inputs(), width * from.inputs(), part + h * width * from.inputs());
      if (from.has_bias()) std::copy_n(from.bias() + heads[h] * width, width, to.bias() + h * width);
    }
    to.set_weight(part);
  };
  keep_rows(kQuery, config.head_dim, kept, count);
  keep_rows(kKey, config.head_dim, kept_kv, kv_count);
  keep_rows(kValue, config.value_head_dim, kept_kv, kv_count);

  // The output projection: a head owns Dv columns. Its bias belongs to no head.
  const Linear& from = projections_[kOut];
  Linear& to = smaller.projections_[kOut];
  const std::size_t width = config.value_head_dim;
  from.get_weight(whole);
  for (std::size_t n = 0; n < from.outputs(); ++n) {
    for (std::size_t h = 0; h < count; ++h) {
      std::copy_n(whole + n * from.inputs() + kept[h] * width, width, part + n * to.inputs() + h * width);
    }
  }
  to.set_weight(part);
  if (from.has_bias()) std::copy_n(from.bias(), from.outputs(), to.bias());
  smaller.query_norm_.copy_parameters(query_norm_);
  smaller.key_norm_.copy_parameters(key_norm_);
  for (std::size_t h = 0; h < count; ++h) {
    smaller.gates_.data()[h] = gates_.data()[kept[h]];
    if (config.alibi) smaller.slopes_.data()[h] = slopes_.data()[kept[h]];
  }
  return Status::kOk;
}

}  // namespace headwise
