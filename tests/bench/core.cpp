// The bench's own WebAssembly program: the core on data that lies in memory already, and the machine's limits. Every
// function repeats its work n times inside, so that JavaScript's clock, coarse in browsers, can time it.
#include <emscripten/emscripten.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>

#include "attention/scaled_dot_product.hpp"
#include "headwise.hpp"
#include "kernels/simd.hpp"

using namespace headwise;

namespace {

Context context;
// Inputs and results of the row at hand, one behind the other; a module's parameters on their way in, too.
AlignedBuffer memory;
std::unique_ptr<MultiHeadAttention> module;
std::unique_ptr<KvCache> cache;  // of the module, or null

// Twelve chains hide the latency of both loops. x = x a + b keeps the compiler from hoisting the product, and tends to
// a normal number. The constants come from memory that it cannot see through.
constexpr std::size_t kChains = 12;
const float constants[2] = {0.999f, 0.001f};

template <class MultiplyAdd>
float chains(std::uint32_t n, const MultiplyAdd& multiply_add) {
  const float* c = simd::opaque(constants);
  const simd::Vec a = simd::splat(c[0]), b = simd::splat(c[1]);
  simd::Vec x[kChains];
  for (std::size_t i = 0; i < kChains; ++i) x[i] = simd::splat(c[i % 2]);
  for (std::uint32_t i = 0; i < n; ++i) {
    for (auto& chain : x) chain = multiply_add(chain, a, b);
  }
  simd::Vec sum = x[0];
  for (std::size_t i = 1; i < kChains; ++i) sum = sum + x[i];
  return simd::reduce_add(sum);
}

float read(const float* from, std::size_t count) {
  simd::Vec sum[8];
  for (auto& s : sum) s = simd::splat(0.0f);
  for (std::size_t i = 0; i + 32 <= count; i += 32) {
    for (std::size_t s = 0; s < 8; ++s) sum[s] = sum[s] + simd::load(from + i + s * simd::kLanes);
  }
  for (std::size_t s = 1; s < 8; ++s) sum[0] = sum[0] + sum[s];
  return simd::reduce_add(sum[0]);
}

volatile float sink;

// Runs fn(thread) on every thread of the pool at once.
template <class Fn>
void on_all_threads(const Fn& fn) {
  context.pool.parallel_for(context.pool.threads(), 1e12, [&](std::size_t task, std::size_t) { fn(task); });
}

}  // namespace

extern "C" {

EMSCRIPTEN_KEEPALIVE int start(std::uint32_t threads, std::uint32_t rows) {
  context.tile_rows = rows;
  return static_cast<int>(context.pool.start(threads));
}

// Address of a block of that many floats, which the next call replaces when it needs more; 0: out of memory.
EMSCRIPTEN_KEEPALIVE float* room(std::uint32_t floats) {
  return memory.reserve(floats) == Status::kOk ? memory.data() : nullptr;
}

// q: [B, L, H*D], k, v: [B, S, H*D] or with heads_first as in a cache [B, H, S, D], output: [B, L, H*D],
// weights: [B, H, L, S] or null
EMSCRIPTEN_KEEPALIVE int run_core(std::uint32_t B, std::uint32_t H, std::uint32_t L, std::uint32_t S, std::uint32_t D,
                                  bool causal, bool heads_first, const float* q, const float* k, const float* v,
                                  float* output, float* weights, std::uint32_t n) {
  AttentionArgs args;
  args.shape = {B, H, H, L, S, D, D};
  args.query = HeadView<const float>::heads_in_rows(q, H, L, D);
  const auto view = heads_first ? HeadView<const float>::heads_first : HeadView<const float>::heads_in_rows;
  args.key = view(k, H, S, D);
  args.value = view(v, H, S, D);
  args.output = HeadView<float>::heads_in_rows(output, H, L, D);
  args.weights = weights;
  args.visibility.causal = causal;
  args.scale = 1.0f / std::sqrt(static_cast<float>(D));
  for (std::uint32_t i = 0; i < n; ++i) {
    const Status status = attention(args, context);
    if (status != Status::kOk) return static_cast<int>(status);
  }
  return 0;
}

// capacity: of its cache; 0: it has none
EMSCRIPTEN_KEEPALIVE int make_block(std::uint32_t E, std::uint32_t H, std::uint32_t capacity) {
  module = std::make_unique<MultiHeadAttention>();
  cache = capacity > 0 ? std::make_unique<KvCache>() : nullptr;
  const float scale = 1.0f / std::sqrt(static_cast<float>(E / H));
  const Status status = module->create({E, H, H, E / H, E / H, E, E, E, true, true, scale});
  if (status != Status::kOk || cache == nullptr) return static_cast<int>(status);
  return static_cast<int>(cache->create(1, H, capacity, E / H, E / H));
}

// projection: 0 query, 1 key, 2 value, 3 out.   weight: [E, E], bias: [E]
EMSCRIPTEN_KEEPALIVE void set_projection(std::uint32_t projection, const float* weight, const float* bias) {
  Linear& linear = module->projection(projection);
  linear.set_weight(weight);
  std::copy_n(bias, linear.outputs(), linear.bias());
}

// x, output: [B, L, E]. With a cache, which has `past` tokens already, B is 1.
EMSCRIPTEN_KEEPALIVE int run_block(std::uint32_t B, std::uint32_t L, std::int32_t past, bool causal, const float* x,
                                   float* output, std::uint32_t n) {
  const std::int32_t keys = past + static_cast<std::int32_t>(L);
  ForwardArgs args{.B = B, .L = L, .S = L, .query = x, .visibility = {}, .output = output};
  args.visibility.causal = causal;
  if (cache != nullptr) {
    args.cache = cache.get();
    args.S = static_cast<std::size_t>(keys);
    args.visibility.offsets = &past;
    args.visibility.key_lengths = &keys;
  }
  for (std::uint32_t i = 0; i < n; ++i) {
    const Status status = module->forward(args, context);
    if (status != Status::kOk) return static_cast<int>(status);
  }
  return 0;
}

// Floating-point operations of limit_fma(1) and limit_multiply_add(1).
EMSCRIPTEN_KEEPALIVE double limit_flops() {
  return 2.0 * kChains * simd::kLanes * static_cast<double>(context.pool.threads());
}

// Fused in the relaxed build alone.
EMSCRIPTEN_KEEPALIVE void limit_fma(std::uint32_t n) {
  on_all_threads(
      [n](std::size_t) { sink = chains(n, [](simd::Vec x, simd::Vec a, simd::Vec b) { return simd::fma(x, a, b); }); });
}

EMSCRIPTEN_KEEPALIVE void limit_multiply_add(std::uint32_t n) {
  on_all_threads(
      [n](std::size_t) { sink = chains(n, [](simd::Vec x, simd::Vec a, simd::Vec b) { return x * a + b; }); });
}

// Reads count floats n times, each thread its share.
EMSCRIPTEN_KEEPALIVE void limit_read(const float* from, std::uint32_t count, std::uint32_t n) {
  const std::size_t share = count / context.pool.threads();
  on_all_threads([&](std::size_t thread) {
    for (std::uint32_t i = 0; i < n; ++i) sink = read(from + thread * share, share);
  });
}

EMSCRIPTEN_KEEPALIVE void limit_write(float* to, std::uint32_t count, std::uint32_t n) {
  for (std::uint32_t i = 0; i < n; ++i) std::fill_n(to, count, static_cast<float>(i));
}

}  // extern "C"
