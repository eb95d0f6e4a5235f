// A whole module in double precision, forwards and backwards, and the cases that tests give it and ours.
#pragma once

#include "gradients.hpp"
#include "nn/multi_head_attention.hpp"

namespace headwise::test {

using Mha = MultiHeadAttention;

struct TrainingCase {
  std::size_t B = 2, L = 9, S = 9, E = 12, H = 4, G = 4, D = 3, Dv = 3, key_dim = 12, value_dim = 12, output_dim = 12;
  bool qkv_bias = true, out_bias = true;
  std::size_t inputs = 1;  // 1: self-attention, 2: query and memory, 3: all different
  std::size_t rope_dim = 0;
  bool interleaved = false, alibi = false, causal = false, positions = false;
  float softcap = 0.0f;
  Window window = {};
  std::vector<std::int32_t> offsets = {}, key_lengths = {};
  MaskType mask = MaskType::kNone;
  Floats gates = {};
  std::vector<std::uint32_t> kv_heads = {};
  Dropout dropout = {};
  bool grad_weights = false, heads = false;
};

inline MultiHeadAttentionConfig config_of(const TrainingCase& c) {
  return {.embed_dim = c.E,
          .num_heads = c.H,
          .num_kv_heads = c.G,
          .head_dim = c.D,
          .value_head_dim = c.Dv,
          .key_dim = c.key_dim,
          .value_dim = c.value_dim,
          .output_dim = c.output_dim,
          .qkv_bias = c.qkv_bias,
          .out_bias = c.out_bias,
          .scale = 0.8f,
          .softcap = c.softcap,
          .rope_dim = c.rope_dim,
          .rope_base = 100.0f,
          .rope_interleaved = c.interleaved,
          .alibi = c.alibi};
}

// What a case is computed on.
struct Data {
  Floats query, key, value, grad_output, grad_weights, mask_floats;
  std::vector<std::int32_t> mask_integers, positions;
  std::vector<std::uint8_t> mask_bytes;

  explicit Data(const TrainingCase& c)
      : query(random_floats(c.B * c.L * c.E, 1)),
        key(c.inputs == 1 ? query : random_floats(c.B * c.S * c.key_dim, 2)),
        value(c.inputs == 1   ? query
              : c.inputs == 2 ? key
                              : random_floats(c.B * c.S * c.value_dim, 3)),
        grad_output(random_floats(c.B * c.L * c.output_dim, 4)),
        grad_weights(random_floats(c.grad_weights ? c.B * c.H * c.L * c.S : 0, 5)),
        mask_floats(random_floats(c.B * c.L * c.S, 6, 2.0f)) {
    std::mt19937 generator(7);
    for (float& value_ : mask_floats) value_ = generator() % 4 == 0 ? -kInf : value_;
    for (std::size_t n = 0; n < c.L * c.S; ++n) {
      mask_integers.push_back(generator() % 3 == 0 ? 0 : -1);
      mask_bytes.push_back(generator() % 3 == 0 || n < c.S ? 0 : 1);  // query 0 sees nothing
    }
    for (std::size_t n = 0; n < c.B * c.L; ++n) positions.push_back(static_cast<std::int32_t>(generator() % 50));
  }

  Mask mask(const TrainingCase& c) const {
    if (c.mask == MaskType::kFloat) return Mask(c.mask, mask_floats.data(), {c.B, 1, c.L, c.S});
    if (c.mask == MaskType::kInt32) return Mask(c.mask, mask_integers.data(), {1, 1, c.L, c.S});
    if (c.mask == MaskType::kUint8) return Mask(c.mask, mask_bytes.data(), {1, 1, c.L, c.S});
    return {};
  }
  float mask_at(const TrainingCase& c, std::size_t b, std::size_t i, std::size_t j) const {
    if (c.mask == MaskType::kFloat) return mask_floats[(b * c.L + i) * c.S + j];
    if (c.mask == MaskType::kInt32) return mask_integers[i * c.S + j] == 0 ? -kInf : 0.0f;
    if (c.mask == MaskType::kUint8) return mask_bytes[i * c.S + j] == 0 ? -kInf : 0.0f;
    return 0.0f;
  }
};

// Gradients, or parameters, of the module: weight and bias of each projection, gates; of the inputs, or these.
struct Numbers {
  Doubles weight[4], bias[4], gates, input[3];

  template <class Fn>
  void for_each(const Fn& fn) {
    for (auto& w : weight) fn(w);
    for (auto& b : bias) fn(b);
    fn(gates);
    for (auto& x : input) fn(x);
  }
};

// The whole module in double precision.
struct Oracle {
  const TrainingCase& c;
  const Data& in;
  Numbers at;
  std::vector<std::uint32_t> kv_heads;

  Oracle(const TrainingCase& case_, const Data& inputs, Mha& mha) : c(case_), in(inputs) {
    for (std::size_t p = 0; p < 4; ++p) {
      const Linear& linear = mha.projection(p);
      Floats weight(linear.inputs() * linear.outputs());
      linear.get_weight(weight.data());
      at.weight[p].assign(weight.begin(), weight.end());
      if (linear.has_bias()) at.bias[p].assign(linear.bias(), linear.bias() + linear.outputs());
    }
    at.gates.assign(mha.gates(), mha.gates() + c.H);
    kv_heads.assign(mha.kv_heads(), mha.kv_heads() + c.H);
    at.input[0].assign(in.query.begin(), in.query.end());
    at.input[1].assign(in.key.begin(), in.key.end());
    at.input[2].assign(in.value.begin(), in.value.end());
  }

  std::size_t inputs(std::size_t p) const { return std::array{c.E, c.key_dim, c.value_dim, c.H * c.Dv}[p]; }
  std::size_t outputs(std::size_t p) const { return std::array{c.H * c.D, c.G * c.D, c.G * c.Dv, c.output_dim}[p]; }

  Doubles project(std::size_t p, const Doubles& x, std::size_t rows) const {
    const std::size_t I = inputs(p), O = outputs(p);
    Doubles out(rows * O);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t n = 0; n < O; ++n) {
        double sum = at.bias[p].empty() ? 0 : at.bias[p][n];
        for (std::size_t k = 0; k < I; ++k) sum += x[r * I + k] * at.weight[p][n * I + k];
        out[r * O + n] = sum;
      }
    }
    return out;
  }
  Doubles project_back(std::size_t p, const Doubles& x, const Doubles& grad_out, std::size_t rows,
                       Numbers& grad) const {
    const std::size_t I = inputs(p), O = outputs(p);
    Doubles grad_x(rows * I);
    grad.weight[p].resize(I * O);
    grad.bias[p].resize(at.bias[p].size());
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t n = 0; n < O; ++n) {
        const double g = grad_out[r * O + n];
        if (!at.bias[p].empty()) grad.bias[p][n] += g;
        for (std::size_t k = 0; k < I; ++k) {
          grad.weight[p][n * I + k] += g * x[r * I + k];
          grad_x[r * I + k] += g * at.weight[p][n * I + k];
        }
      }
    }
    return grad_x;
  }

  // x: [B, length, heads*D], turned by `sign` times its positions' angles.
  void turn(Doubles& x, std::size_t length, std::size_t heads, bool keys, double sign) const {
    for (std::size_t b = 0; b < c.B; ++b) {
      for (std::size_t i = 0; i < length; ++i) {
        double position = static_cast<double>(i);
        if (c.positions) {
          position = in.positions[b * length + i];
        } else if (!keys && !c.offsets.empty()) {
          position += c.offsets[b];
        }
        for (std::size_t h = 0; h < heads; ++h) {
          double* head = x.data() + ((b * length + i) * heads + h) * c.D;
          for (std::size_t k = 0; k < c.rope_dim / 2; ++k) {
            const double angle = sign * position * std::pow(100.0, -2.0 * double(k) / double(c.rope_dim));
            double& first = head[c.interleaved ? 2 * k : k];
            double& second = head[c.interleaved ? 2 * k + 1 : k + c.rope_dim / 2];
            const double turned = std::cos(angle) * first - std::sin(angle) * second;
            second = std::sin(angle) * first + std::cos(angle) * second;
            first = turned;
          }
        }
      }
    }
  }

  template <class Fn>
  void with_head(std::size_t b, std::size_t h, const Fn& fn) const {
    const auto distance = [=, this](std::size_t i, std::size_t j) {
      return static_cast<std::int64_t>(i) + (c.offsets.empty() ? 0 : c.offsets[b]) - static_cast<std::int64_t>(j);
    };
    const auto visible = [=, this](std::size_t i, std::size_t j) {
      if (c.causal && distance(i, j) < 0) return false;
      if (distance(i, j) > c.window.left || -distance(i, j) > c.window.right) return false;
      if (!c.key_lengths.empty() && static_cast<std::int32_t>(j) >= c.key_lengths[b]) return false;
      return in.mask_at(c, b, i, j) != -kInf;
    };
    const double slope = c.alibi ? std::exp2(-8.0 * double(h + 1) / double(c.H)) : 0.0;  // H: a power of two
    const auto bias = [=, this](std::size_t i, std::size_t j) {
      return in.mask_at(c, b, i, j) - slope * std::abs(double(distance(i, j)));
    };
    const auto factor = [=, this](std::size_t i, std::size_t j) { return dropout_factor(c.dropout, b, h, i, j); };
    fn(HeadOracle{c.L, c.S, c.D, c.Dv, double{0.8f}, double{c.softcap}, visible, bias, factor});
  }

  // Output and loss; with `grad` also all gradients.
  double run(Doubles& output, Numbers* grad) const {
    Doubles q = project(0, at.input[0], c.B * c.L), k = project(1, at.input[1], c.B * c.S);
    const Doubles v = project(2, at.input[2], c.B * c.S);
    turn(q, c.L, c.H, false, 1);
    turn(k, c.S, c.G, true, 1);
    Doubles gated(c.B * c.L * c.H * c.Dv), heads = gated;
    double loss = 0;
    for (std::size_t b = 0; b < c.B; ++b) {
      for (std::size_t h = 0; h < c.H; ++h) {
        with_head(b, h, [&](const auto& oracle) {
          const auto [weights, out] = oracle.forward(slice_head(q, b * c.L, c.L, c.H, h, c.D),
                                                     slice_head(k, b * c.S, c.S, c.G, kv_heads[h], c.D),
                                                     slice_head(v, b * c.S, c.S, c.G, kv_heads[h], c.Dv));
          for (std::size_t n = 0; c.grad_weights && n < weights.size(); ++n) {
            loss += weights[n] * in.grad_weights[(b * c.H + h) * c.L * c.S + n];
          }
          for (std::size_t i = 0; i < c.L; ++i) {
            for (std::size_t n = 0; n < c.Dv; ++n) {
              const std::size_t to = ((b * c.L + i) * c.H + h) * c.Dv + n;
              heads[to] = out[i * c.Dv + n];
              gated[to] = heads[to] * at.gates[h];
            }
          }
        });
      }
    }
    output = project(3, gated, c.B * c.L);
    for (std::size_t n = 0; n < output.size(); ++n) loss += output[n] * in.grad_output[n];
    if (grad == nullptr) return loss;

    const Doubles grad_gated =
        project_back(3, gated, Doubles(in.grad_output.begin(), in.grad_output.end()), c.B * c.L, *grad);
    Doubles grad_q(q.size()), grad_k(k.size()), grad_v(v.size());
    grad->gates.assign(c.H, 0.0);
    for (std::size_t b = 0; b < c.B; ++b) {
      for (std::size_t h = 0; h < c.H; ++h) {
        const std::size_t g = kv_heads[h];
        Doubles grad_head = slice_head(grad_gated, b * c.L, c.L, c.H, h, c.Dv);
        const Doubles head = slice_head(heads, b * c.L, c.L, c.H, h, c.Dv);
        for (std::size_t n = 0; n < head.size(); ++n) {
          grad->gates[h] += head[n] * grad_head[n];
          grad_head[n] *= at.gates[h];
        }
        Doubles grad_weights;
        if (c.grad_weights) {
          const auto first = in.grad_weights.begin() + (b * c.H + h) * c.L * c.S;
          grad_weights.assign(first, first + c.L * c.S);
        }
        with_head(b, h, [&](const auto& oracle) {
          const auto parts =
              oracle.backward(slice_head(q, b * c.L, c.L, c.H, h, c.D), slice_head(k, b * c.S, c.S, c.G, g, c.D),
                              slice_head(v, b * c.S, c.S, c.G, g, c.Dv), grad_head, grad_weights);
          add_head(grad_q, parts.q, b, c.L, c.H, h, c.D);
          add_head(grad_k, parts.k, b, c.S, c.G, g, c.D);
          add_head(grad_v, parts.v, b, c.S, c.G, g, c.Dv);
        });
      }
    }
    turn(grad_q, c.L, c.H, false, -1);
    turn(grad_k, c.S, c.G, true, -1);
    grad->input[0] = project_back(0, at.input[0], grad_q, c.B * c.L, *grad);
    grad->input[1] = project_back(1, at.input[1], grad_k, c.B * c.S, *grad);
    grad->input[2] = project_back(2, at.input[2], grad_v, c.B * c.S, *grad);
    return loss;
  }

  static void add_head(Doubles& to, const Doubles& head, std::size_t b, std::size_t rows, std::size_t heads,
                       std::size_t h, std::size_t width) {
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t n = 0; n < width; ++n) to[((b * rows + i) * heads + h) * width + n] += head[i * width + n];
    }
  }
};

}  // namespace headwise::test
