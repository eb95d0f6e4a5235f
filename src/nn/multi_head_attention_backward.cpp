// The module's steps, backwards: combine, attend, project.
#include <algorithm>

#include "attention/attention_backward.hpp"
#include "nn/attention_steps.hpp"

namespace headwise {
namespace {

using Config = MultiHeadAttentionConfig;

// Gradients of the tape's activations, and the scratch of the backward pass.
struct Scratch {
  float* query;            // [B, L, H*D]
  float* key;              // [B, S, G*D]
  float* value;            // [B, S, G*Dv]
  float* heads;            // [B, L, H*Dv]
  float* projected_query;  // as query and key, before their norms
  float* projected_key;
  float* step;       // for linear layers and norms, one after the other
  float* attention;  // for attention_backward
  RotaryTable angles;
};

// step: floats that linear layers and norms need
Scratch take_scratch(const Config& config, const ForwardArgs& args, std::uint64_t step, std::size_t threads,
                     Arena& arena) {
  const std::uint64_t B = args.B, L = args.L, S = args.S, H = config.num_heads, G = config.num_kv_heads;
  Scratch scratch;
  scratch.query = arena.take(B * L * H * config.head_dim);
  scratch.key = arena.take(B * S * G * config.head_dim);
  scratch.value = arena.take(B * S * G * config.value_head_dim);
  scratch.heads = arena.take(B * L * H * config.value_head_dim);
  scratch.projected_query = config.query_key_norm ? arena.take(B * L * H * config.head_dim) : scratch.query;
  scratch.projected_key = config.query_key_norm ? arena.take(B * S * G * config.head_dim) : scratch.key;
  scratch.step = arena.take(step);
  scratch.attention = take_attention_backward_scratch(shape_of(config, args), threads, arena);
  scratch.angles = take_rotary_table(config, args, arena);
  return scratch;
}

// gate_gradients[h] += sum over b, i, n of heads * gradient; then the gradient of the gated heads becomes that of the
// ungated ones.   heads, gradient: [rows, H*Dv]
void differentiate_gates(const float* gates, std::size_t H, std::size_t Dv, std::size_t rows, const float* heads,
                         float* gradient, float* gate_gradients, ThreadPool& pool) {
  const double flops = 4.0 * static_cast<double>(rows) * static_cast<double>(H * Dv);
  pool.parallel_for(H, flops, [&](std::size_t h, std::size_t) {
    double sum = 0;
    for (std::size_t r = 0; r < rows; ++r) {
      const float* head = heads + (r * H + h) * Dv;
      const float* slope = gradient + (r * H + h) * Dv;
      float row = 0.0f;
      for (std::size_t n = 0; n < Dv; ++n) row += slope[n] == 0.0f ? 0.0f : head[n] * slope[n];
      sum += row;
    }
    gate_gradients[h] += static_cast<float>(sum);
  });
  if (any_gated(gates, H)) gate_heads(gates, H, Dv, rows, gradient, gradient);
}

// gradient[b, h] = heads[b, :, h] value[b, :, g]^T: what the loss gains from each weight.   heads: the outputs'
// gradients
void differentiate_weights(const AttentionArgs& args, const HeadView<const float>& heads, float* gradient) {
  const AttentionShape& shape = args.shape;
  for (std::size_t b = 0; b < shape.B; ++b) {
    for (std::size_t h = 0; h < shape.H; ++h) {
      for (std::size_t i = 0; i < shape.L; ++i) {
        for (std::size_t j = 0; j < shape.S; ++j) {
          const float *head = heads.at(b, h, i), *value = args.value.at(b, args.kv_heads.of(h, shape), j);
          float sum = 0.0f;
          for (std::size_t n = 0; n < shape.Dv; ++n) sum += head[n] * value[n];
          *gradient++ = sum;
        }
      }
    }
  }
}

void fill_zeros(float* to, std::size_t count) {
  if (to != nullptr) std::fill_n(to, count, 0.0f);
}

}  // namespace

Status MultiHeadAttention::enable_gate_gradients() {
  if (gate_gradients_.data() != nullptr) return Status::kOk;
  HEADWISE_RETURN_IF_ERROR(gate_gradients_.reserve(std::max<std::size_t>(config_.num_heads, 1)));
  zero_gate_gradients();
  return Status::kOk;
}

Status MultiHeadAttention::enable_gradients() {
  const bool enabled = projections_[kOut].weight_gradient() != nullptr;
  Status status = enable_gate_gradients();
  visit([&](auto& part) {
    if (status == Status::kOk) status = part.enable_gradients();
  });
  if (status != Status::kOk && !enabled) {
    for (Linear& projection : projections_) projection.release_gradients();
  }
  return status;
}

void MultiHeadAttention::zero_gate_gradients() noexcept { fill_zeros(gate_gradients_.data(), config_.num_heads); }

void MultiHeadAttention::zero_gradients() noexcept {
  visit([](auto& part) { part.zero_gradients(); });
  zero_gate_gradients();
}

std::uint64_t MultiHeadAttention::step_scratch(const ForwardArgs& args, std::size_t threads) const {
  std::uint64_t most = 0;
  for (const Linear& projection : projections_) most = std::max(most, projection.backward_scratch(threads));
  if (!config_.query_key_norm) return most;
  const std::size_t queries = args.B * args.L * config_.num_heads, keys = args.B * args.S * config_.num_kv_heads;
  return std::max({most, query_norm_.backward_scratch(queries), key_norm_.backward_scratch(keys)});
}

std::uint64_t MultiHeadAttention::backward_scratch(const ForwardArgs& args, std::size_t threads) const {
  Arena counted;
  take_scratch(config_, args, step_scratch(args, threads), threads, counted);
  return counted.used();
}

Status MultiHeadAttention::backward(AttentionTape& tape, const BackwardArgs& args, Context& context) {
  if (!tape.ready) return Status::kInvalidArgument;
  const ForwardArgs& forward = tape.args;
  const std::size_t B = forward.B, L = forward.L, S = forward.S;
  if (B == 0 || L == 0) {
    HEADWISE_RETURN_IF_ERROR(args.learn ? enable_gradients() : enable_gate_gradients());
    fill_zeros(args.key, B * S * config_.key_dim);
    fill_zeros(args.value, B * S * config_.value_dim);
    tape.ready = false;
    return Status::kOk;
  }
  const std::size_t threads = context.pool.threads();
  const std::size_t H = config_.num_heads, G = config_.num_kv_heads, D = config_.head_dim, Dv = config_.value_head_dim;
  HEADWISE_RETURN_IF_ERROR(context.arena.reserve(backward_scratch(forward, threads)));
  HEADWISE_RETURN_IF_ERROR(args.learn ? enable_gradients() : enable_gate_gradients());
  const Scratch gradients = take_scratch(config_, forward, step_scratch(forward, threads), threads, context.arena);

  projections_[kOut].backward(tape.activations.gated, args.output, B * L, gradients.heads, false, args.learn,
                              gradients.step, context);
  differentiate_gates(gates_.data(), H, Dv, B * L, tape.activations.heads, gradients.heads, gate_gradients_.data(),
                      context.pool);
  const AttentionArgs attention = attention_args(config_, forward, tape.activations, slopes_.data(), kv_heads());
  const auto of_heads = HeadView<const float>::heads_in_rows(gradients.heads, H, L, Dv);
  attention_backward(attention,
                     {.output = of_heads,
                      .weights = args.weights,
                      .query = HeadView<float>::heads_in_rows(gradients.query, H, L, D),
                      .key = HeadView<float>::heads_in_rows(gradients.key, G, S, D),
                      .value = HeadView<float>::heads_in_rows(gradients.value, G, S, Dv)},
                     gradients.attention, context);
  if (args.probe != nullptr) {
    const auto read = [&](Place place, const float* gradient, std::size_t heads, std::size_t length,
                          std::size_t width) {
      args.probe->read(place, {B, heads, length, width},
                       HeadView<const float>::heads_in_rows(gradient, heads, length, width));
    };
    read(Place::kQuery, gradients.query, H, L, D);
    read(Place::kKey, gradients.key, G, S, D);
    read(Place::kValue, gradients.value, G, S, Dv);
    read(Place::kHeads, gradients.heads, H, L, Dv);
    float* of_weights = args.probe->captures[static_cast<int>(Place::kWeights)];
    if (of_weights != nullptr) differentiate_weights(attention, of_heads, of_weights);
  }
  rotate_queries_and_keys(config_, forward, Rotation::kBackward, gradients.query, gradients.key, gradients.angles,
                          context.pool);
  if (config_.query_key_norm) {
    const auto through_norm = [&](Norm& norm, const float* x, const float* gradient, std::size_t rows, float* grad_x) {
      fill_zeros(grad_x, rows * D);
      norm.backward(x, gradient, rows, grad_x, args.learn, gradients.step, context.pool);
    };
    through_norm(query_norm_, tape.activations.projected_query, gradients.query, B * L * H, gradients.projected_query);
    through_norm(key_norm_, tape.activations.projected_key, gradients.key, B * S * G, gradients.projected_key);
  }
  float* of_key = args.sum ? args.query : args.key;
  float* of_value = args.sum ? args.query : args.value;
  projections_[kQuery].backward(forward.query, gradients.projected_query, B * L, args.query, false, args.learn,
                                gradients.step, context);
  projections_[kKey].backward(forward.key_input(), gradients.projected_key, B * S, of_key, args.sum, args.learn,
                              gradients.step, context);
  projections_[kValue].backward(forward.value_input(), gradients.value, B * S, of_value, args.sum, args.learn,
                                gradients.step, context);
  tape.ready = false;
  return Status::kOk;
}

}  // namespace headwise
