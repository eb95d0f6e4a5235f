// The oracle of the transformer: every choice of its configuration, term by term, in any precision.
#pragma once

#include <map>
#include <optional>

#include "gradients.hpp"
#include "naive_batch.hpp"
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
  std::vector<Values> weights, contributions;   // of the last forward pass: [N][B, H, L, L], [N][B, H, L, E]
  Values hidden, pooled;                        // of the last forward pass: [B, L, E], [B, E]
  std::vector<std::map<Place, Values>> scales;  // of the last forward pass: [N], what norms divide by, [B, L, heads]
  Values last_scales;                           // of the last norm, [B, L]

  explicit NaiveTransformer(Transformer& model, bool zero_gates = false) : config(model.config()) {
    const std::size_t E = config.embed_dim, F = config.feed_forward_dim, D = config.head_dim;
    const std::size_t H = config.num_heads, G = config.num_kv_heads, K = config.classes;
    const TransformerConfig& c = config;
    const auto take = [&](std::size_t count) {
      const Parameter parameter = parameter_at(model, parameters.size());
      REQUIRE(count == (parameter.matrix == nullptr ? parameter.count
                                                    : parameter.matrix->outputs() * parameter.matrix->inputs()));
      Floats values(count);
      parameter.read_value(values.data());
      parameters.emplace_back(values.begin(), values.end());
      return parameters.size() - 1;
    };
    const auto take_if = [&](bool there, std::size_t count) {
      return there ? std::optional(take(count)) : std::nullopt;
    };
    const auto linear = [&](bool there, std::size_t outputs, std::size_t inputs, bool bias) {
      Affine affine;
      affine.weight = take_if(there, outputs * inputs);
      affine.bias = take_if(there && bias, outputs);
      return affine;
    };
    const auto norm = [&](bool there) {
      Affine affine;
      affine.weight = take_if(there, E);
      affine.bias = take_if(there && c.norm.bias, E);
      return affine;
    };
    tokens_ = take_if(c.vocab_size > 0, c.vocab_size * E);
    positions_ = take_if(c.positions == Positions::kLearned, c.context_length * E);
    types_ = take_if(c.token_types > 0, c.token_types * E);
    patch_ = linear(c.patch_dim > 0, E, c.patch_dim, c.patch_bias);
    class_ = take_if(c.class_token, E);
    registers_ = take_if(c.register_tokens > 0, c.register_tokens * E);
    embedding_norm_ = norm(c.embedding_norm);
    for (std::size_t n = 0; n < c.layers; ++n) {
      Layer layer;
      layer.norm1 = norm((c.norm_before || c.norm_after_sum) && c.layer_configs[n].norm1);
      layer.query = linear(true, H * D, E, c.qkv_bias);
      layer.key = linear(true, G * D, E, c.qkv_bias);
      layer.value = linear(true, G * D, E, c.qkv_bias);
      layer.out = linear(true, E, H * D, c.out_bias);
      layer.query_norm = take_if(c.query_key_norm, D);
      layer.key_norm = take_if(c.query_key_norm, D);
      layer.norm1_after = norm(c.norm_after);
      layer.norm2 = norm(F > 0 && (c.norm_before || c.norm_after_sum) && !c.shared_norm);
      layer.up = linear(F > 0, F, E, c.feed_forward_bias);
      layer.gate = linear(F > 0 && c.gated, F, E, c.feed_forward_bias);
      layer.down = linear(F > 0, E, F, c.feed_forward_bias);
      layer.norm2_after = norm(F > 0 && c.norm_after);
      layers_.push_back(layer);
      gates.emplace_back(model.attention(n).gates(), model.attention(n).gates() + H);
      if (zero_gates) gates.back().assign(H, T{0});
    }
    final_norm_ = norm(c.final_norm);
    transform_ = linear(c.head && c.head_transform, E, E, c.readout_bias);
    transform_norm_ = norm(c.head && c.head_transform);
    matrix_ = take_if(c.head && !c.tie_embeddings, c.vocab_size * E);
    head_bias_ = take_if(c.head && c.head_bias, c.vocab_size);
    pooler_ = linear(c.pooling == Pooling::kDense || c.pooling == Pooling::kDenseNorm, E, E, c.readout_bias);
    pooler_norm_ = norm(c.pooling == Pooling::kNorm || c.pooling == Pooling::kDenseNorm);
    classifier_ = linear(K > 0, K, E, c.class_bias);
  }

  // Logits of tokens, [B, L, V], or of classes, [B, K]; neither: nothing.
  Values forward(const NaiveBatch& batch) {
    const std::size_t E = config.embed_dim, rows = batch.B * batch.L;
    weights.assign(config.layers, {});
    contributions.assign(config.layers, {});
    scales.assign(config.layers, {});
    Values x = embed(batch);
    for (std::size_t n = 0; n < config.layers; ++n) x = block(x, batch, n);
    last_scales.clear();
    hidden = norm(x, final_norm_, E, &last_scales);
    pooled = pool(batch);
    if (config.classes > 0) return linear(pooled, E, classifier_);
    if (!config.head) return {};
    x = hidden;
    if (config.head_transform) x = norm(activate(linear(x, E, transform_), config.activation), transform_norm_, E);
    Values logits = linear(x, E, {config.tie_embeddings ? tokens_ : matrix_, head_bias_});
    CHECK(logits.size() == rows * config.vocab_size);
    for (T& value : logits) value = cap(value, config.logit_softcap);
    return logits;
  }

  // Mean cross-entropy of the targets that are not -1.
  T loss(const NaiveBatch& batch) {
    const Values logits = forward(batch);
    const std::size_t rows = batch.targets.size(), V = logits.size() / rows;
    T sum = 0, count = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      if (batch.targets[row] < 0) continue;
      T total = 0;
      for (std::size_t v = 0; v < V; ++v) total += std::exp(logits[row * V + v]);
      sum += std::log(total) - logits[row * V + static_cast<std::size_t>(batch.targets[row])];
      count += 1;
    }
    return count == 0 ? 0 : sum / count;
  }

 private:
  using Index = std::optional<std::size_t>;  // in `parameters`; none: there is no such parameter
  struct Affine {
    Index weight, bias;
  };
  struct Layer {
    Affine norm1, query, key, value, out, norm1_after, norm2, up, gate, down, norm2_after;
    Index query_norm, key_norm;
  };

  const T* at(Index index) const { return index ? parameters[*index].data() : nullptr; }

  static T cap(T value, float most) {
    return most > 0 ? static_cast<T>(most) * std::tanh(value / static_cast<T>(most)) : value;
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

  static Values add(Values x, const Values& y) {
    for (std::size_t n = 0; n < x.size(); ++n) x[n] += y[n];
    return x;
  }

  // x: [rows, inputs]
  Values linear(const Values& x, std::size_t inputs, const Affine& affine) const {
    const std::size_t rows = x.size() / inputs, outputs = parameters[*affine.weight].size() / inputs;
    const T *weight = at(affine.weight), *bias = at(affine.bias);
    Values out(rows * outputs);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t n = 0; n < outputs; ++n) {
        T sum = bias == nullptr ? T{0} : bias[n];
        for (std::size_t k = 0; k < inputs; ++k) sum += x[i * inputs + k] * weight[n * inputs + k];
        out[i * outputs + n] = sum;
      }
    }
    return out;
  }

  // Of rows of `width` numbers; x itself where there is no such norm. Appends what it divides by to `divisors`.
  Values norm(const Values& x, const Affine& affine, std::size_t width, bool centred, Values* divisors) const {
    if (!affine.weight) return x;
    const T *weight = at(affine.weight), *bias = at(affine.bias);
    Values out(x.size());
    for (std::size_t row = 0; row < x.size(); row += width) {
      T mean = 0, squares = 0;
      for (std::size_t n = 0; centred && n < width; ++n) mean += x[row + n] / static_cast<T>(width);
      for (std::size_t n = 0; n < width; ++n) squares += (x[row + n] - mean) * (x[row + n] - mean);
      const T root = std::sqrt(squares / static_cast<T>(width) + static_cast<T>(config.norm.epsilon));
      if (divisors != nullptr) divisors->push_back(root);
      for (std::size_t n = 0; n < width; ++n) {
        out[row + n] = (x[row + n] - mean) / root * weight[n] + (bias == nullptr ? T{0} : bias[n]);
      }
    }
    return out;
  }
  Values norm(const Values& x, const Affine& affine, std::size_t width, Values* divisors = nullptr) const {
    return norm(x, affine, width, config.norm.kind == NormKind::kLayer, divisors);
  }

  static Values activate(Values x, Activation kind) {
    const auto sigmoid = [](T v) { return 1 / (1 + std::exp(-v)); };
    const auto f = [&](T v) -> T {
      switch (kind) {
        case Activation::kRelu:
          return std::max(v, T{0});
        case Activation::kGelu:
          return v / 2 *
                 (1 + std::tanh(static_cast<T>(0.79788456080286536) * (v + static_cast<T>(0.044715) * v * v * v)));
        case Activation::kGeluErf:
          return v / 2 * (1 + std::erf(v / std::sqrt(T{2})));
        case Activation::kQuickGelu:
          return v * sigmoid(static_cast<T>(1.702) * v);
        case Activation::kSilu:
          return v * sigmoid(v);
        case Activation::kTanh:
          return std::tanh(v);
      }
      return v;
    };
    for (T& value : x) value = f(value);
    return x;
  }

  Values embed(const NaiveBatch& batch) const {
    const std::size_t E = config.embed_dim, B = batch.B, L = batch.L;
    const std::size_t classes = config.class_token ? 1 : 0, special = classes + config.register_tokens;
    const Values patches = config.patch_dim == 0
                               ? Values()
                               : linear(Values(batch.patches.begin(), batch.patches.end()), config.patch_dim, patch_);
    Values x(B * L * E);
    for (std::size_t row = 0; row < B * L; ++row) {
      const std::size_t b = row / L, i = row % L;
      const bool is_register = i >= classes && i < special;
      const std::size_t counted = i < classes ? i : i - config.register_tokens;
      const std::size_t position = batch.positions.empty() ? counted : static_cast<std::size_t>(batch.positions[row]);
      const std::size_t type = batch.token_types.empty() ? 0 : static_cast<std::size_t>(batch.token_types[row]);
      for (std::size_t e = 0; e < E; ++e) {
        T& value = x[row * E + e];
        if (tokens_) {
          value =
              static_cast<T>(config.embedding_scale) * at(tokens_)[static_cast<std::size_t>(batch.tokens[row]) * E + e];
        } else {
          value = i < classes   ? at(class_)[e]
                  : i < special ? at(registers_)[(i - classes) * E + e]
                                : patches[(b * (L - special) + i - special) * E + e];
        }
        const T angle = static_cast<T>(position) / std::pow(T{10000}, static_cast<T>(e / 2 * 2) / static_cast<T>(E));
        if (positions_ && !is_register) value += at(positions_)[position * E + e];
        if (config.positions == Positions::kSinusoidal) value += e % 2 == 0 ? std::sin(angle) : std::cos(angle);
        if (types_) value += at(types_)[type * E + e];
      }
    }
    return norm(x, embedding_norm_, E);
  }

  Values block(const Values& x, const NaiveBatch& batch, std::size_t n) {
    const Layer& layer = layers_[n];
    const std::size_t E = config.embed_dim;
    const Affine none;
    std::map<Place, Values>& s = scales[n];
    const auto before = [&](const Values& y, const Affine& affine, Place place) {
      return norm(y, config.norm_before ? affine : none, E, &s[place]);
    };
    const auto after_sum = [&](const Values& y, const Affine& affine, Place place) {
      return norm(y, config.norm_after_sum ? affine : none, E, &s[place]);
    };
    const Values seen = before(x, layer.norm1, Place::kNorm1);
    const Values attended = norm(attention(seen, batch, n), layer.norm1_after, E, &s[Place::kNorm1After]);
    const Values mid = after_sum(add(x, drop(attended, n * 3 + 1)), layer.norm1, Place::kNorm1);
    if (config.feed_forward_dim == 0) return mid;
    const Values read = config.shared_norm ? seen : before(config.parallel ? x : mid, layer.norm2, Place::kNorm2);
    const Values out = norm(feed_forward(read, layer), layer.norm2_after, E, &s[Place::kNorm2After]);
    return after_sum(add(mid, drop(out, n * 3 + 2)), layer.norm2, Place::kNorm2);
  }

  Values feed_forward(const Values& x, const Layer& layer) const {
    const std::size_t E = config.embed_dim;
    Values up = linear(x, E, layer.up);
    if (config.gated) {
      const Values gate = activate(linear(x, E, layer.gate), config.activation);
      for (std::size_t n = 0; n < up.size(); ++n) up[n] *= gate[n];
    } else {
      up = activate(up, config.activation);
    }
    return linear(up, config.feed_forward_dim, layer.down);
  }

  // Rotates the pairs of one head's rows.
  static void rotate(Values& x, std::size_t L, std::size_t D, const Rotary& rotary, const std::int32_t* positions) {
    const std::size_t pairs = rotary.dim / 2;
    for (std::size_t i = 0; i < L; ++i) {
      for (std::size_t k = 0; k < pairs; ++k) {
        const T frequency =
            rotary.frequencies != nullptr
                ? static_cast<T>(rotary.frequencies[k])
                : std::pow(static_cast<T>(rotary.base), -static_cast<T>(2 * k) / static_cast<T>(rotary.dim));
        const T angle = static_cast<T>(positions == nullptr ? static_cast<std::int32_t>(i) : positions[i]) * frequency;
        const T cos = std::cos(angle) * static_cast<T>(rotary.factor),
                sin = std::sin(angle) * static_cast<T>(rotary.factor);
        T& a = x[i * D + (rotary.interleaved ? 2 * k : k)];
        T& b = x[i * D + (rotary.interleaved ? 2 * k + 1 : k + pairs)];
        const T first = a * cos - b * sin;
        b = a * sin + b * cos;
        a = first;
      }
    }
  }

  Values attention(const Values& x, const NaiveBatch& batch, std::size_t n) {
    const std::size_t E = config.embed_dim, D = config.head_dim, H = config.num_heads, G = config.num_kv_heads;
    const std::size_t B = batch.B, L = batch.L;
    const Layer& layer = layers_[n];
    const LayerConfig& own = config.layer_configs[n];
    const auto norm_heads = [&](const Values& heads, const Index& weight, Place place) {
      return norm(heads, {weight, {}}, D, false, &scales[n][place]);
    };
    const Values q = norm_heads(linear(x, E, layer.query), layer.query_norm, Place::kQueryNorm);
    const Values k = norm_heads(linear(x, E, layer.key), layer.key_norm, Place::kKeyNorm);
    const Values v = linear(x, E, layer.value);
    const T* out_weight = at(layer.out.weight);
    Values out(B * L * E);
    for (std::size_t e = 0; layer.out.bias && e < out.size(); ++e) out[e] = at(layer.out.bias)[e % E];
    const Dropout drop = dropout(n * 3);
    for (std::size_t b = 0; b < B; ++b) {
      const std::int32_t* positions = batch.positions.empty() ? nullptr : batch.positions.data() + b * L;
      for (std::size_t h = 0; h < H; ++h) {
        const std::size_t g = h * G / H;
        Values q_h = slice_head(q, b * L, L, H, h, D), k_h = slice_head(k, b * L, L, G, g, D);
        const Values v_h = slice_head(v, b * L, L, G, g, D);
        rotate(q_h, L, D, own.rotary, positions), rotate(k_h, L, D, own.rotary, positions);
        const T slope = config.positions == Positions::kAlibi
                            ? std::pow(T{2}, T{-8} * static_cast<T>(h + 1) / static_cast<T>(H))
                            : T{0};
        const auto visible = [&](std::size_t i, std::size_t j) {
          const auto ahead = static_cast<std::int64_t>(j) - static_cast<std::int64_t>(i);
          return (!config.causal || ahead <= 0) && ahead >= -own.window.left && ahead <= own.window.right &&
                 (batch.mask.empty() || batch.mask[b * L + j] != 0);
        };
        const auto head = naive_head<T>(
            q_h, k_h, v_h, L, L, D, D, static_cast<T>(config.scale), visible,
            [&](std::size_t i, std::size_t j) { return -slope * static_cast<T>(i > j ? i - j : j - i); },
            static_cast<T>(config.softcap));
        weights[n].insert(weights[n].end(), head.weights.begin(), head.weights.end());
        for (std::size_t i = 0; i < L; ++i) {
          Values mixed(D);
          for (std::size_t j = 0; j < L; ++j) {
            const T factor = drop.rate == 0 ? T{1} : static_cast<T>(dropout_factor(drop, b, h, i, j));
            for (std::size_t d = 0; d < D; ++d) mixed[d] += head.weights[i * L + j] * factor * v_h[j * D + d];
          }
          for (std::size_t e = 0; e < E; ++e) {
            T sum = 0;
            for (std::size_t d = 0; d < D; ++d) sum += mixed[d] * out_weight[e * H * D + h * D + d];
            out[(b * L + i) * E + e] += gates[n][h] * sum;
            contributions[n].push_back(gates[n][h] * sum);
          }
        }
      }
    }
    return out;
  }

  Values pool(const NaiveBatch& batch) const {
    const std::size_t E = config.embed_dim;
    Values rows;
    for (std::size_t b = 0; b < batch.B && config.pooling != Pooling::kNone; ++b) {
      const std::size_t row = batch.pooled_rows.empty() ? 0 : static_cast<std::size_t>(batch.pooled_rows[b]);
      const auto from = hidden.begin() + static_cast<std::ptrdiff_t>((b * batch.L + row) * E);
      rows.insert(rows.end(), from, from + static_cast<std::ptrdiff_t>(E));
    }
    if (config.pooling == Pooling::kNorm) return norm(rows, pooler_norm_, E);
    if (config.pooling == Pooling::kDense) return activate(linear(rows, E, pooler_), config.pooler_activation);
    if (config.pooling == Pooling::kDenseNorm) {
      return norm(activate(linear(rows, E, pooler_), config.pooler_activation), pooler_norm_, E);
    }
    return rows;
  }

  Index tokens_, positions_, types_, class_, registers_, matrix_, head_bias_;
  Affine patch_, embedding_norm_, final_norm_, transform_, transform_norm_, pooler_, pooler_norm_, classifier_;
  std::vector<Layer> layers_;
};

}  // namespace headwise::test
