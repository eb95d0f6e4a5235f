// The module's gradients, beside those of a module in double precision, which are checked by central differences.
#include "training_oracle.hpp"

namespace headwise::test {
namespace {

struct Module {
  Context context;
  Mha mha;
  AttentionTape tape;

  Module(const TrainingCase& c, std::size_t threads) {
    start(context, threads);
    REQUIRE(mha.create(config_of(c), c.kv_heads.empty() ? nullptr : c.kv_heads.data()) == Status::kOk);
    REQUIRE(mha.initialize(3, context) == Status::kOk);
    for (std::size_t p = 0; p < Mha::kProjections; ++p) {
      Linear& projection = mha.projection(p);
      const Floats bias = random_floats(projection.outputs(), 20 + static_cast<std::uint32_t>(p));
      if (projection.has_bias()) std::copy(bias.begin(), bias.end(), projection.bias());
    }
    std::copy(c.gates.begin(), c.gates.end(), mha.gates());
  }

  // The output. What it was computed from is gone when it returns, but for the tape.
  Floats forward(const TrainingCase& c, const Data& given, bool train = true) {
    Data in = given;
    std::vector<std::int32_t> offsets = c.offsets, key_lengths = c.key_lengths;
    Floats output(c.B * c.L * c.output_dim, kNaN);
    Floats heads(c.heads ? c.B * c.H * c.L * c.Dv : 0), weights(c.heads ? c.B * c.H * c.L * c.S : 0);
    ForwardArgs args;
    args.B = c.B;
    args.L = c.L;
    args.S = c.S;
    args.query = in.query.data();
    args.inputs = c.inputs == 1 ? Inputs::kSelf : c.inputs == 2 ? Inputs::kMemory : Inputs::kAll;
    args.key = in.key.data();
    args.value = in.value.data();
    args.visibility.mask = in.mask(c);
    args.visibility.causal = c.causal;
    args.visibility.window = c.window;
    args.visibility.offsets = offsets.empty() ? nullptr : offsets.data();
    args.visibility.key_lengths = key_lengths.empty() ? nullptr : key_lengths.data();
    if (c.positions) args.query_positions = args.key_positions = in.positions.data();
    args.output = output.data();
    args.head_output = c.heads ? HeadOutput::kValues : HeadOutput::kNone;
    args.heads = heads.data();
    args.weights = c.heads ? weights.data() : nullptr;
    args.dropout = c.dropout;
    args.tape = train ? &tape : nullptr;
    REQUIRE(mha.forward(args, context) == Status::kOk);
    check_room(context.arena);
    check_room(tape.memory);
    for (auto* numbers : {&in.query, &in.key, &in.value, &in.mask_floats}) {
      std::fill(numbers->begin(), numbers->end(), kNaN);
    }
    return output;
  }

  // Gradients of the parameters in their own order (packed), of the gates, of the inputs.
  std::vector<Floats> backward(const TrainingCase& c, const Data& in) {
    std::vector<Floats> all = {Floats(c.B * c.L * c.E, kNaN), Floats(c.B * c.S * c.key_dim, kNaN),
                               Floats(c.B * c.S * c.value_dim, kNaN)};
    const BackwardArgs args{.output = in.grad_output.data(),
                            .weights = c.grad_weights ? in.grad_weights.data() : nullptr,
                            .query = all[0].data(),
                            .key = all[1].data(),
                            .value = all[2].data()};
    REQUIRE(mha.backward(tape, args, context) == Status::kOk);
    check_room(context.arena);
    mha.for_each_parameter([&](const Parameter& parameter) {
      all.emplace_back(parameter.gradient, parameter.gradient + parameter.count);
    });
    all.emplace_back(mha.gate_gradients(), mha.gate_gradients() + c.H);
    return all;
  }
};

std::vector<TrainingCase> cases() {
  const Dropout dropout{0.25f, 99};
  const TrainingCase wide{.L = 7,
                          .S = 11,
                          .E = 13,
                          .H = 3,
                          .G = 3,
                          .D = 5,
                          .Dv = 6,
                          .key_dim = 9,
                          .value_dim = 10,
                          .output_dim = 8,
                          .inputs = 3};
  const auto with = [](TrainingCase c, const auto& change) {
    change(c);
    return c;
  };
  const TrainingCase plain;
  return {
      plain,
      with(plain, [](TrainingCase& c) { c.qkv_bias = false; }),
      with(plain, [](TrainingCase& c) { c.qkv_bias = c.out_bias = false; }),
      with(plain, [](TrainingCase& c) { c.causal = true; }),
      with(plain, [](TrainingCase& c) { c.grad_weights = true; }),
      with(plain, [](TrainingCase& c) { c.G = 2; }),
      with(plain,
           [](TrainingCase& c) {
             c.G = 1;
             c.heads = true;
           }),
      with(plain,
           [](TrainingCase& c) {
             c.G = 2;
             c.kv_heads = {0, 0, 0, 1};
             c.gates = {1, 0, 1, 1};
           }),
      with(plain,
           [](TrainingCase& c) {
             c.gates = {0.5f, 0, -2, 1};
           }),
      with(plain,
           [](TrainingCase& c) {
             c.gates = {0, 0, 0, 0};
             c.grad_weights = true;
           }),
      with(plain,
           [](TrainingCase& c) {
             c.gates = {0.5f, 0, -2, 1};
             c.heads = true;
             c.grad_weights = true;
           }),
      with(plain, [](TrainingCase& c) { c.rope_dim = 2; }),
      with(plain,
           [](TrainingCase& c) {
             c.rope_dim = 2;
             c.offsets = {3, -4};
             c.causal = true;
           }),
      with(plain,
           [](TrainingCase& c) {
             c.D = 6;
             c.rope_dim = 4;
             c.interleaved = true;
             c.positions = true;
           }),
      with(plain,
           [](TrainingCase& c) {
             c.alibi = true;
             c.offsets = {1, 2};
           }),
      with(plain,
           [](TrainingCase& c) {
             c.alibi = true;
             c.causal = true;
             c.G = 2;
             c.softcap = 1.5f;
           }),
      with(plain, [](TrainingCase& c) { c.softcap = 0.5f; }),
      with(plain, [&](TrainingCase& c) { c.dropout = dropout; }),
      with(plain,
           [&](TrainingCase& c) {
             c.dropout = dropout;
             c.grad_weights = true;
             c.causal = true;
             c.softcap = 2;
           }),
      with(plain,
           [](TrainingCase& c) {
             c.window = {2, 1};
           }),
      with(plain,
           [](TrainingCase& c) {
             c.window = {2, Window::kOpen};
             c.causal = true;
             c.L = c.S = 40;
           }),
      with(plain,
           [](TrainingCase& c) {
             c.key_lengths = {9, 4};
           }),
      with(plain,
           [](TrainingCase& c) {
             c.key_lengths = {0, 4};
             c.grad_weights = true;
           }),
      with(plain, [](TrainingCase& c) { c.mask = MaskType::kFloat; }),
      with(plain,
           [](TrainingCase& c) {
             c.mask = MaskType::kInt32;
             c.causal = true;
           }),
      with(plain,
           [&](TrainingCase& c) {
             c.mask = MaskType::kUint8;
             c.dropout = dropout;
           }),
      wide,
      with(wide,
           [](TrainingCase& c) {
             c.inputs = 2;
             c.value_dim = c.key_dim;
           }),
      with(wide,
           [](TrainingCase& c) {
             c.rope_dim = 4;
             c.G = 1;
             c.offsets = {1, 5};
           }),
      with(wide,
           [&](TrainingCase& c) {
             c.dropout = dropout;
             c.mask = MaskType::kFloat;
             c.gates = {0, 2, 1};
           }),
      with(wide,
           [](TrainingCase& c) {
             c.L = 1;
             c.grad_weights = true;
           }),
      with(wide,
           [](TrainingCase& c) {
             c.L = 2;
             c.causal = true;
           }),
      with(wide,
           [](TrainingCase& c) {
             c.L = 70;
             c.S = 55;
             c.B = 1;
             c.window = {20, 30};
             c.rope_dim = 2;
           }),
      with(wide, [](TrainingCase& c) { c.S = 0; }),
      with(wide, [](TrainingCase& c) { c.L = 0; }),
      with(wide, [](TrainingCase& c) { c.B = 0; }),
      with(plain,
           [](TrainingCase& c) {
             c.B = 3;
             c.H = 1;
             c.G = 1;
             c.D = 16;
             c.Dv = 24;
             c.L = c.S = 33;
           }),
      with(plain,
           [](TrainingCase& c) {
             c.E = c.key_dim = c.value_dim = c.output_dim = 160;
             c.H = c.G = 8;
             c.D = c.Dv = 20;
             c.L = c.S = 70;
             c.causal = true;
           }),
  };
}

TEST_CASE("the oracle module's gradients are the slopes of its loss") {
  std::size_t checked = 0;
  for (const TrainingCase& c : cases()) {
    if (c.B * c.L * c.S * c.E > 2200) continue;
    const Data in(c);
    Module module(c, 1);
    Oracle oracle(c, in, module.mha);
    Numbers grad;
    Doubles output;
    oracle.run(output, &grad);
    std::vector<Doubles*> exact;
    grad.for_each([&](Doubles& numbers) { exact.push_back(&numbers); });
    std::size_t n = 0;
    oracle.at.for_each([&](Doubles& numbers) {
      const Doubles differences = central_differences(numbers, [&] { return oracle.run(output, nullptr); });
      check_differences(*exact[n++], differences);
    });
    ++checked;
  }
  CHECK(checked >= 30);
}

TEST_CASE("the module's gradients agree with the double reference, on any number of threads") {
  std::size_t number = 0;
  for (const TrainingCase& c : cases()) {
    INFO("case " << number);
    ++number;
    const Data in(c);
    Module module(c, 1);
    const Floats output = module.forward(c, in);
    Oracle oracle(c, in, module.mha);
    Numbers grad;
    Doubles exact_output;
    oracle.run(exact_output, &grad);
    check_gradient(output.data(), exact_output);
    const std::vector<Floats> ours = module.backward(c, in);
    for (std::size_t n = 0; n < 3; ++n) check_gradient(ours[n].data(), grad.input[n]);
    for (std::size_t p = 0; p < Mha::kProjections; ++p) {
      Linear& linear = module.mha.projection(p);
      Floats weight(linear.inputs() * linear.outputs());
      parameter_at(linear, 0).read_gradient(weight.data());
      grad.weight[p].resize(weight.size());
      check_gradient(weight.data(), grad.weight[p]);
      if (!linear.has_bias()) continue;
      // Without rotary embedding and cap the keys' bias moves all scores of a row alike: what is left is rounding of
      // sums.
      double largest = 0;
      if (p == Mha::kKey && c.rope_dim == 0 && c.softcap == 0.0f) {
        for (const double value : grad.weight[p]) largest = std::max(largest, std::abs(value));
      }
      check_gradient(parameter_at(linear, 1).gradient, grad.bias[p], largest);
    }
    check_gradient(module.mha.gate_gradients(), grad.gates);
    Module small(c, 1);
    CHECK(with_small_tiles([&] { return small.forward(c, in), small.backward(c, in); }) == ours);
    for (const std::size_t threads : {2, 4}) {
      if (!kHasThreads) continue;
      Module threaded(c, threads);
      CHECK(threaded.forward(c, in) == output);
      CHECK(threaded.backward(c, in) == ours);
    }
  }
}

TEST_CASE("a training forward pass computes what the plain one computes") {
  for (const TrainingCase& c : cases()) {
    const Data in(c);
    Module module(c, 1);
    const Floats plain = module.forward(c, in, false);
    const Floats trained = module.forward(c, in);
    for (std::size_t n = 0; n < plain.size(); ++n) CHECK(trained[n] == doctest::Approx(plain[n]).epsilon(1e-5));
  }
}

TEST_CASE("gradients accumulate until they are zeroed; a tape is good for one backward pass") {
  TrainingCase c{.gates = {1, 0, 0.5f, 1}};
  const Data in(c);
  Module module(c, 1);
  const BackwardArgs args{.output = in.grad_output.data()};
  CHECK(module.mha.backward(module.tape, args, module.context) == Status::kInvalidArgument);
  module.forward(c, in);
  const std::vector<Floats> once = module.backward(c, in);
  CHECK(module.mha.backward(module.tape, args, module.context) == Status::kInvalidArgument);
  module.forward(c, in);
  module.forward(c, in, false);  // leaves the tape alone
  const std::vector<Floats> twice = module.backward(c, in);
  for (std::size_t n = 0; n < once.size(); ++n) {
    for (std::size_t i = 0; i < once[n].size(); ++i) CHECK(twice[n][i] == (n < 3 ? 1 : 2) * once[n][i]);
  }
  module.mha.zero_gradients();
  module.forward(c, in);
  CHECK(module.backward(c, in) == once);

  Floats sum(once[0].size(), kNaN);  // of one input's three parts
  module.forward(c, in);
  const BackwardArgs shared{.output = in.grad_output.data(), .query = sum.data(), .sum = true};
  REQUIRE(module.mha.backward(module.tape, shared, module.context) == Status::kOk);
  for (std::size_t i = 0; i < sum.size(); ++i) {
    CHECK(sum[i] == doctest::Approx(once[0][i] + once[1][i] + once[2][i]).epsilon(1e-4));
  }
}

TEST_CASE("pruned modules start without gradients; memory is given back") {
  const std::size_t before = bytes_in_use.load();
  {
    TrainingCase c;
    const Data in(c);
    Module module(c, 1);
    module.forward(c, in);
    module.backward(c, in);
    Mha smaller;
    const std::uint32_t kept[] = {0, 2};
    REQUIRE(module.mha.keep_heads(kept, 2, smaller) == Status::kOk);
    CHECK(smaller.gate_gradients() == nullptr);
    smaller.for_each_parameter([](const Parameter& parameter) { CHECK(parameter.gradient == nullptr); });
    std::size_t matrices = 0;
    smaller.for_each_parameter([&](const Parameter& parameter) { matrices += parameter.decay; });
    CHECK(matrices == 4);
  }
  CHECK(bytes_in_use.load() == before);
}

TEST_CASE("padded tokens may hold anything where nothing asks for their gradients") {
  for (const bool weights : {false, true}) {
    TrainingCase c{.L = 12, .S = 12, .key_lengths = {12, 7}, .dropout = {0.1f, 5}, .grad_weights = weights};
    Data in(c);
    std::fill_n(in.grad_output.begin() + 19 * 12, 5 * 12, 0.0f);
    for (std::size_t h = 0; weights && h < 4; ++h) {
      std::fill_n(in.grad_weights.begin() + ((4 + h) * 12 + 7) * 12, 5 * 12, 0.0f);
    }
    Module clean(c, 1), spoiled(c, 1);
    clean.forward(c, in);
    const auto expected = clean.backward(c, in);
    std::fill_n(in.query.begin() + 19 * 12, 5 * 12, kNaN);
    spoiled.forward(c, in);
    CHECK(spoiled.backward(c, in) == expected);
  }
}

}  // namespace
}  // namespace headwise::test
