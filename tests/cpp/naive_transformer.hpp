// The oracle of the transformer: term by term, in any precision.
#pragma once

#include "gradients.hpp"
#include "nn/transformer.hpp"

namespace headwise::test {

template <class T>
class NaiveTransformer {
 public:
  using Values = std::vector<T>;

  TransformerConfig config;
  std::vector<Values> parameters;  // in the order of Transformer::for_each_parameter, matrices [outputs, inputs]
  std::vector<Values> gates;       // [N][H]
  std::uint32_t steps = 0;         // of training, before this one
  bool training = false;           // dropout is on
  std::vector<Values> weights, contributions;  // of the last forward pass: [N][B, H, L, L], [N][B, H, L, E]

  NaiveTransformer(Transformer& model, bool zero_gates = false) : config(model.config()) {
    std::size_t index = 0;
    const auto take = [&](std::size_t count) {
      Floats values(count);
      parameter_at(model, index++).read_value(values.data());
      parameters.emplace_back(values.begin(), values.end());
    };
    const std::size_t E = config.embed_dim, F = config.feed_forward_dim, D = config.head_dim;
    const std::size_t H = config.num_heads, G = config.num_kv_heads;
    const bool bias = config.norm == NormKind::kLayer;
    const auto linear = [&](std::size_t outputs, std::size_t inputs) {
      take(outputs * inputs);
      if (bias) take(outputs);
    };
    const auto norm = [&] {
      take(E);
      if (bias) take(E);
    };
    take(config.vocab_size * E);
    if (config.positions == Positions::kLearned) take(config.context_length * E);
    for (std::size_t n = 0; n < config.layers; ++n) {
      norm();
      linear(H * D, E), linear(G * D, E), linear(G * D, E), linear(E, H * D);
      gates.emplace_back(model.attention(n).gates(), model.attention(n).gates() + H);
      if (zero_gates) gates.back().assign(H, T{0});
      if (F == 0) continue;
      norm();
      linear(F, E);
      if (config.activation == Activation::kSiluGated) linear(F, E);
      linear(E, F);
    }
    norm();
    if (!config.tie_embeddings) take(config.vocab_size * E);
  }

  // logits: [B, L, V]
  Values forward(const std::vector<std::int32_t>& tokens, std::size_t B, std::size_t L) {
    next_ = 0;
    weights.assign(config.layers, {});
    contributions.assign(config.layers, {});
    const std::size_t E = config.embed_dim, rows = B * L;
    const Values embedding = parameters[next_++];
    Values x(rows * E);
    const bool learned = config.positions == Positions::kLearned, sinus = config.positions == Positions::kSinusoidal;
    const Values positions = learned ? parameters[next_++] : Values();
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t e = 0; e < E; ++e) {
        T& value = x[row * E + e] = embedding[static_cast<std::size_t>(tokens[row]) * E + e];
        const std::size_t i = row % L;
        if (learned) value += positions[i * E + e];
        const T angle = static_cast<T>(i) / std::pow(T{10000}, static_cast<T>(e / 2 * 2) / static_cast<T>(E));
        if (sinus) value = value * std::sqrt(static_cast<T>(E)) + (e % 2 == 0 ? std::sin(angle) : std::cos(angle));
      }
    }
    for (std::size_t n = 0; n < config.layers; ++n) {
      add(x, drop(attention(norm(x, rows), B, L, n), n * 3 + 1));
      if (config.feed_forward_dim > 0) add(x, drop(feed_forward(norm(x, rows), rows), n * 3 + 2));
    }
    const Values last = norm(x, rows);
    return linear(last, rows, config.tie_embeddings ? embedding : parameters[next_], nullptr);
  }

  // Mean cross-entropy of the targets that are not -1.
  T loss(const std::vector<std::int32_t>& tokens, const std::vector<std::int32_t>& targets, std::size_t B,
         std::size_t L) {
    const Values logits = forward(tokens, B, L);
    const std::size_t V = config.vocab_size;
    T sum = 0, count = 0;
    for (std::size_t row = 0; row < B * L; ++row) {
      if (targets[row] < 0) continue;
      T total = 0;
      for (std::size_t v = 0; v < V; ++v) total += std::exp(logits[row * V + v]);
      sum += std::log(total) - logits[row * V + static_cast<std::size_t>(targets[row])];
      count += 1;
    }
    return count == 0 ? 0 : sum / count;
  }

 private:
  std::size_t next_ = 0;

  bool biased() const { return config.norm == NormKind::kLayer; }

  static void add(Values& x, const Values& y) {
    for (std::size_t n = 0; n < x.size(); ++n) x[n] += y[n];
  }

  Dropout dropout(std::size_t place) const {
    const auto p = static_cast<std::uint32_t>(place);
    return {training ? config.dropout : 0.0f, config.seed + 0x632be5abu * steps + 0x85157af5u * p};
  }

  Values drop(Values x, std::size_t place) const {
    if (dropout(place).rate == 0) return x;
    for (std::size_t n = 0; n < x.size(); ++n) {
      x[n] *= static_cast<T>(dropout_factor(dropout(place), 0, 0, n / 4096, n % 4096));
    }
    return x;
  }

  Values linear(const Values& x, std::size_t rows, const Values& weight, const Values* bias) const {
    const std::size_t inputs = x.size() / rows, outputs = weight.size() / inputs;
    Values out(rows * outputs);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t n = 0; n < outputs; ++n) {
        T sum = bias == nullptr ? T{0} : (*bias)[n];
        for (std::size_t k = 0; k < inputs; ++k) sum += x[i * inputs + k] * weight[n * inputs + k];
        out[i * outputs + n] = sum;
      }
    }
    return out;
  }
  Values linear(const Values& x, std::size_t rows) {
    const Values& weight = parameters[next_++];
    return linear(x, rows, weight, biased() ? &parameters[next_++] : nullptr);
  }

  Values norm(const Values& x, std::size_t rows) {
    const std::size_t E = x.size() / rows;
    const Values& weight = parameters[next_++];
    const Values* bias = biased() ? &parameters[next_++] : nullptr;
    Values out(x.size());
    for (std::size_t row = 0; row < x.size(); row += E) {
      T mean = 0, squares = 0;
      for (std::size_t n = 0; biased() && n < E; ++n) mean += x[row + n] / static_cast<T>(E);
      for (std::size_t n = 0; n < E; ++n) squares += (x[row + n] - mean) * (x[row + n] - mean);
      const T root = std::sqrt(squares / static_cast<T>(E) + static_cast<T>(config.norm_epsilon));
      for (std::size_t n = 0; n < E; ++n) {
        out[row + n] = (x[row + n] - mean) / root * weight[n] + (bias == nullptr ? T{0} : (*bias)[n]);
      }
    }
    return out;
  }

  Values feed_forward(const Values& x, std::size_t rows) {
    Values up = linear(x, rows);
    if (config.activation == Activation::kSiluGated) {
      const Values gate = linear(x, rows);
      for (std::size_t n = 0; n < up.size(); ++n) up[n] *= gate[n] / (1 + std::exp(-gate[n]));
    } else {
      for (T& value : up) {
        const T inner =
            static_cast<T>(0.79788456080286536) * (value + static_cast<T>(0.044715) * value * value * value);
        value = config.activation == Activation::kRelu ? std::max(value, T{0}) : value / 2 * (1 + std::tanh(inner));
      }
    }
    return linear(up, rows);
  }

  // Rotates the pairs of one head's rows.
  void rotate(Values& x, std::size_t L, std::size_t D) const {
    const std::size_t pairs = config.rope_dim / 2;
    for (std::size_t i = 0; i < L; ++i) {
      for (std::size_t k = 0; k < pairs; ++k) {
        const T exponent = -static_cast<T>(2 * k) / static_cast<T>(config.rope_dim);
        const T angle = static_cast<T>(i) * std::pow(static_cast<T>(config.rope_base), exponent);
        T& a = x[i * D + (config.rope_interleaved ? 2 * k : k)];
        T& b = x[i * D + (config.rope_interleaved ? 2 * k + 1 : k + pairs)];
        const T first = a * std::cos(angle) - b * std::sin(angle);
        b = a * std::sin(angle) + b * std::cos(angle);
        a = first;
      }
    }
  }

  Values attention(const Values& x, std::size_t B, std::size_t L, std::size_t layer) {
    const std::size_t E = config.embed_dim, D = config.head_dim, H = config.num_heads, G = config.num_kv_heads;
    const Values q = linear(x, B * L), k = linear(x, B * L), v = linear(x, B * L);
    const Values& out_weight = parameters[next_++];
    const Values* out_bias = biased() ? &parameters[next_++] : nullptr;
    Values out(B * L * E);
    for (std::size_t n = 0; n < out.size(); ++n) out[n] = out_bias == nullptr ? T{0} : (*out_bias)[n % E];
    const Dropout drop = dropout(layer * 3);
    for (std::size_t b = 0; b < B; ++b) {
      for (std::size_t h = 0; h < H; ++h) {
        const std::size_t g = h * G / H;
        Values q_h = slice_head(q, b * L, L, H, h, D), k_h = slice_head(k, b * L, L, G, g, D);
        const Values v_h = slice_head(v, b * L, L, G, g, D);
        if (config.positions == Positions::kRotary) rotate(q_h, L, D), rotate(k_h, L, D);
        const T slope = config.positions == Positions::kAlibi
                            ? std::pow(T{2}, T{-8} * static_cast<T>(h + 1) / static_cast<T>(H))
                            : T{0};
        const auto head = naive_head<T>(
            q_h, k_h, v_h, L, L, D, D, 1 / std::sqrt(static_cast<T>(D)),
            [&](std::size_t i, std::size_t j) { return !config.causal || j <= i; },
            [&](std::size_t i, std::size_t j) { return -slope * static_cast<T>(i > j ? i - j : j - i); });
        weights[layer].insert(weights[layer].end(), head.weights.begin(), head.weights.end());
        for (std::size_t i = 0; i < L; ++i) {
          Values mixed(D);
          for (std::size_t j = 0; j < L; ++j) {
            const T factor = drop.rate == 0 ? T{1} : static_cast<T>(dropout_factor(drop, b, h, i, j));
            for (std::size_t d = 0; d < D; ++d) mixed[d] += head.weights[i * L + j] * factor * v_h[j * D + d];
          }
          for (std::size_t e = 0; e < E; ++e) {
            T sum = 0;
            for (std::size_t d = 0; d < D; ++d) sum += mixed[d] * out_weight[e * H * D + h * D + d];
            out[(b * L + i) * E + e] += gates[layer][h] * sum;
            contributions[layer].push_back(gates[layer][h] * sum);
          }
        }
      }
    }
    return out;
  }
};

}  // namespace headwise::test
