// The core's steps natively, for profilers (Debian: libbenchmark-dev): cmake --build build/native --target
// headwise_bench_native, then
// perf record build/native/tests/bench/headwise_bench_native --benchmark_filter=bert/core
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "headwise.hpp"
#include "kernels/softmax.hpp"

using namespace headwise;

namespace {

struct Row {
  const char* name;
  std::size_t B, L, S, E, H;
  bool causal;
};

// Those of rows.mjs.
constexpr Row kRows[] = {
    {"tiny", 1, 16, 16, 64, 4, false},       {"minilm", 1, 128, 128, 384, 12, false},
    {"bert", 1, 128, 128, 768, 12, false},   {"bert512", 1, 512, 512, 768, 12, false},
    {"gpt2", 1, 1024, 1024, 768, 12, true},  {"long", 1, 4096, 4096, 512, 8, false},
    {"batch8", 8, 128, 128, 384, 12, false}, {"decode", 1, 1, 1024, 768, 12, false},
    {"odd", 1, 77, 77, 60, 4, false},
};

std::vector<float> normals(std::size_t count) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

void fail(benchmark::State& state) { state.SkipWithError("out of memory"); }

void count_flops(benchmark::State& state, double flops) {
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

double core_flops(const Row& row) {
  const double flops = 4.0 * static_cast<double>(row.B * row.L) * static_cast<double>(row.S * row.E);
  return row.causal ? flops / 2 : flops;
}

void core(benchmark::State& state, const Row& row) {
  const std::size_t D = row.E / row.H;
  const auto query = normals(row.B * row.L * row.E), key = normals(row.B * row.S * row.E), value = key;
  std::vector<float> output(query.size());
  Context context;
  AttentionArgs args;
  args.shape = {row.B, row.H, row.H, row.L, row.S, D, D};
  args.query = HeadView<const float>::heads_in_rows(query.data(), row.H, row.L, D);
  const auto view = row.L == 1 ? HeadView<const float>::heads_first : HeadView<const float>::heads_in_rows;
  args.key = view(key.data(), row.H, row.S, D);
  args.value = view(value.data(), row.H, row.S, D);
  args.output = HeadView<float>::heads_in_rows(output.data(), row.H, row.L, D);
  args.visibility.causal = row.causal;
  args.scale = 1.0f / std::sqrt(static_cast<float>(D));
  for (auto _ : state) {
    if (attention(args, context) != Status::kOk) return fail(state);
    benchmark::ClobberMemory();
  }
  count_flops(state, core_flops(row));
}

void block(benchmark::State& state, const Row& row) {
  const std::size_t D = row.E / row.H;
  const auto x = normals(row.B * row.L * row.E);
  std::vector<float> output(x.size());
  Context context;
  MultiHeadAttention module;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  if (module.create({row.E, row.H, row.H, D, D, row.E, row.E, row.E, true, true, scale}) != Status::kOk ||
      module.initialize(0, context) != Status::kOk) {
    return fail(state);
  }
  ForwardArgs args{.B = row.B, .L = row.L, .S = row.L, .query = x.data(), .visibility = {}, .output = output.data()};
  args.visibility.causal = row.causal;
  for (auto _ : state) {
    if (module.forward(args, context) != Status::kOk) return fail(state);
    benchmark::ClobberMemory();
  }
  count_flops(state, core_flops(row) + 8.0 * static_cast<double>(row.B * row.L) * static_cast<double>(row.E * row.E));
}

// A projection E x E of L rows.
void linear(benchmark::State& state, const Row& row) {
  const auto x = normals(row.L * row.E), weight = normals(row.E * row.E);
  std::vector<float> output(x.size());
  Context context;
  Linear layer;
  if (layer.create(row.E, row.E, true) != Status::kOk) return fail(state);
  layer.set_weight(weight.data());
  for (auto _ : state) {
    layer.forward(x.data(), row.L, output.data(), context);
    benchmark::ClobberMemory();
  }
  count_flops(state, 2.0 * static_cast<double>(row.L) * static_cast<double>(row.E * row.E));
}

// The exponential and the sum of one row of scores, its maximum first.
void softmax(benchmark::State& state) {
  const auto scores = normals(1024);
  std::vector<float> row(scores.size());
  const simd::Exp2 exp2;
  for (auto _ : state) {
    std::copy(scores.begin(), scores.end(), row.begin());
    benchmark::DoNotOptimize(row_exp2(row.data(), row.size(), row_maximum(row.data(), row.size()), exp2));
  }
  state.SetItemsProcessed(state.iterations() * 1024);
}

}  // namespace

int main(int argc, char** argv) {
  for (const Row& row : kRows) {
    const std::string name = row.name;
    benchmark::RegisterBenchmark((name + "/core").c_str(), [&row](auto& state) { core(state, row); });
    benchmark::RegisterBenchmark((name + "/linear").c_str(), [&row](auto& state) { linear(state, row); });
    if (row.L != row.S) continue;  // decode: a block with a cache
    benchmark::RegisterBenchmark((name + "/block").c_str(), [&row](auto& state) { block(state, row); });
  }
  benchmark::RegisterBenchmark("softmax/1024", softmax);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
