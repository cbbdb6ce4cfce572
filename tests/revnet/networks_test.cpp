#include <retrace/revnet/networks.h>
#include <retrace/revnet/residual.h>

#include <limits>

#include "../support/catch.h"
#include "../support/heap.h"
#include "modules.h"

using namespace retrace;
using namespace retrace::test;

namespace {

struct Run {
  double loss = 0;
  std::vector<Named<Tensor>> gradients{};
  std::vector<std::vector<double>> buffers{};
  std::int64_t after_forward = 0;
  std::int64_t peak = 0;
  std::int64_t peak_of_tensors = 0;  // without the scratch space of kernels
  std::int64_t heap = 0;             // what the process's heap gained in a second step
};

void run_step(ResidualNetwork& network, const Tensor& images, const Tensor& labels, Run& result) {
  network.zero_grad();
  const Counter counter(kStepTags);
  const Counter tensors(kStepTags - Tag::workspace);
  HeapWatch heap;
  {
    Tape tape;
    tape.observe(&heap);
    const Var loss = cross_entropy(network(Var(images)), labels);
    result.after_forward = counter.live();
    tape.backward(loss);
    result.loss = loss.value().item();
  }
  result.peak = counter.peak();
  result.peak_of_tensors = tensors.peak();
  result.heap = heap.gain();
}

/// Steps (forward and backward) of a fresh network on random images; what is told is of the last one.
Run run(const NetworkOptions& options, Policy policy, DType dtype, std::int64_t size = 16,
        std::int64_t batch = 4, int steps = 1) {
  manual_seed(7);
  ResidualNetwork network(options);
  network.to(dtype);
  network.set_policy(policy);
  const Tensor images = uniform({batch, options.in_channels, size, size}, 1, dtype);
  Tensor labels({batch}, DType::i64);
  for (std::int64_t i = 0; i < batch; ++i) labels.mutable_data<std::int64_t>()[i] = i % options.classes;
  Run result;
  for (int s = 0; s < steps; ++s) run_step(network, images, labels, result);
  result.gradients = gradients(network);
  for (const auto& [name, buffer] : network.named_buffers())
    result.buffers.push_back(buffer->to_vector<double>());
  return result;
}

double norm(const Tensor& x) {
  double sum = 0;
  for (const double v : x.to_vector<double>()) sum += v * v;
  return std::sqrt(sum);
}

double distance(const Tensor& a, const Tensor& b) {
  const std::vector<double> u = a.to_vector<double>();
  const std::vector<double> v = b.to_vector<double>();
  double sum = 0;
  for (std::size_t i = 0; i < u.size(); ++i) sum += (u[i] - v[i]) * (u[i] - v[i]);
  return std::sqrt(sum);
}

NetworkOptions with_blocks(std::string_view name, std::int64_t blocks) {
  NetworkOptions options = network_options(name);
  options.blocks = std::vector<std::int64_t>(3, blocks);
  return options;
}

}  // namespace

TEST_CASE("the six networks have exactly MemCNN's numbers of parameters", "[networks]") {
  const std::vector<std::pair<std::string_view, std::int64_t>> expected = {
      {"resnet32", 466906}, {"resnet110", 1730714}, {"resnet164", 1704154},
      {"revnet38", 573994}, {"revnet110", 1854890}, {"revnet164", 1983786}};
  for (const auto& [name, parameters] : expected)
    CHECK(ResidualNetwork(network_options(name)).parameter_count() == parameters);
}

TEST_CASE("every policy gives the same loss, gradients and running statistics", "[networks]") {
  NetworkOptions plain = with_blocks("revnet38", 2);
  NetworkOptions dropped = plain;
  dropped.dropout = 0.2;
  NetworkOptions bottleneck = with_blocks("revnet164", 2);
  bottleneck.channels = {8, 8, 8, 16};
  for (const NetworkOptions& options : {plain, dropped, bottleneck}) {
    const Run stored = run(options, Policy::stored, DType::f64);
    for (const Policy policy : {Policy::checkpoint, Policy::reversible}) {
      const Run other = run(options, policy, DType::f64);
      CHECK(other.loss == stored.loss);
      CHECK(other.buffers == stored.buffers);
      CHECK(other.after_forward < stored.after_forward);
      REQUIRE(other.gradients.size() == stored.gradients.size());
      double whole = 0;
      for (const auto& [name, gradient] : stored.gradients) whole = std::hypot(whole, norm(gradient));
      for (std::size_t i = 0; i < stored.gradients.size(); ++i) {
        INFO(name_of(policy) << " " << stored.gradients[i].first);
        // One that is zero in exact arithmetic is measured against the whole gradient.
        const double own = norm(stored.gradients[i].second);
        CHECK(distance(other.gradients[i].second, stored.gradients[i].second) <=
              1e-9 * (own > 1e-12 * whole ? own : whole));
      }
    }
  }
}

TEST_CASE("one more block costs no activation bytes, and less than a KiB of the heap", "[networks][memory]") {
  for (const int steps : {1, 2}) {
    const Run shallow = run(with_blocks("revnet38", 3), Policy::reversible, DType::f32, 8, 2, steps);
    const Run deep = run(with_blocks("revnet38", 30), Policy::reversible, DType::f32, 8, 2, steps);
    CHECK(deep.after_forward == shallow.after_forward);
    CHECK(deep.peak == shallow.peak);
    constexpr int kMoreBlocks = 3 * (30 - 3);
    INFO("heap gains " << shallow.heap << " and " << deep.heap);
    if (steps > 1 && kHeapIsPlain) CHECK(deep.heap - shallow.heap < kMoreBlocks * kHeapABlock);
  }
}

TEST_CASE("a step of the revnets at batch 100 takes exactly these bytes", "[networks][memory]") {
  struct Expected {
    std::string_view network;
    std::int64_t after_forward, peak_of_tensors, most_mib_after_forward, most_mib_at_peak;
  };
  constexpr std::int64_t kMiB = std::int64_t{1} << 20;
  // Scratch space depends on the width of the machine's vectors: with it, the peak has a bound.
  for (const Expected& expected :
       {Expected{"revnet38", 22667392, 66299264, 30, 80}, Expected{"revnet110", 23096320, 66299264, 30, 80},
        Expected{"revnet164", 105480192, 291025024, 130, 400}}) {
    if (!kHeapIsPlain && expected.network != "revnet38") continue;  // too slow under a sanitizer
    INFO(expected.network);
    const Run step = run(network_options(expected.network), Policy::reversible, DType::f32, 32, 100);
    CHECK(step.after_forward == expected.after_forward);
    CHECK(step.peak_of_tensors == expected.peak_of_tensors);
    CHECK(step.after_forward <= expected.most_mib_after_forward * kMiB);
    CHECK(step.peak <= expected.most_mib_at_peak * kMiB);
  }
}

TEST_CASE("a copy of a network is another network with the same numbers", "[networks]") {
  manual_seed(1);
  ResidualNetwork network(network_options("tiny"));
  const auto twin = network.clone();
  const Tensor images = uniform({2, 3, 16, 16}, 1, DType::f32);
  network.eval();
  twin->eval();
  CHECK(network(Var(images)).value().to_vector<float>() == (*twin)(Var(images)).value().to_vector<float>());
  twin->parameters()[0]->value().mutable_data<float>()[0] += 1;
  CHECK(network(Var(images)).value().to_vector<float>() != (*twin)(Var(images)).value().to_vector<float>());
}

TEST_CASE("names lead to networks, and unknown ones to the list", "[networks]") {
  CHECK_THROWS_WITH(network_options("revnet39"),
                    "[network] the name must be one of resnet32, resnet110, resnet164, revnet38, revnet110, "
                    "revnet164, tiny, got 'revnet39' (did you mean 'revnet38'?)");
  CHECK_THROWS_WITH(
      policy_from_name("reverse"),
      "[policy] the name must be one of stored, checkpoint, reversible, reversible-masks, got 'reverse'");
  CHECK(policy_from_name("checkpoint") == Policy::checkpoint);
  ResidualNetwork network(with_blocks("revnet38", 1));
  CHECK(network.named_parameters()[3].first == "stage1.0.F.conv1.weight");
}

TEST_CASE("a network has reversible blocks where one keeps width and size", "[networks]") {
  NetworkOptions options = with_blocks("revnet164", 1);
  CHECK_FALSE(has_reversible_blocks(options));  // each stage's only block changes the width
  CHECK_THROWS_AS(ResidualNetwork(options).set_policy(Policy::reversible), ArgumentError);
  options.blocks = {1, 1, 2};
  CHECK(has_reversible_blocks(options));
  ResidualNetwork(options).set_policy(Policy::reversible);
  CHECK(has_reversible_blocks(with_blocks("revnet38", 1)));
  CHECK_FALSE(has_reversible_blocks(network_options("resnet32")));
  options.strides = {1};
  CHECK_THROWS_AS(has_reversible_blocks(options), ArgumentError);
}

TEST_CASE("options that make no network are errors", "[networks]") {
  CHECK_THROWS_WITH(ResidualNetwork(NetworkOptions{.channels = {8, 8}}),
                    "[network] channels must list the stem's and each stage's, got 2 for 3 stages");
  CHECK_THROWS_WITH(ResidualNetwork(NetworkOptions{.blocks = {1, 0, 1}}),
                    "[network] channels, blocks and strides must be at least 1, got 1,0,1");
  CHECK_THROWS_WITH(ResidualNetwork(NetworkOptions{.strides = {1, 2}}),
                    "[network] strides must list the stem's and each stage's, got 2 for 3 stages");
  CHECK_THROWS_WITH(ResidualNetwork(NetworkOptions{.strides = {1, 1, 0, 2}}),
                    "[network] channels, blocks and strides must be at least 1, got 1,1,0,2");
  CHECK_THROWS_WITH(ResidualNetwork(NetworkOptions{.stem = {.kernel = 4}}),
                    "[network] the stem's kernel must be odd and at least 1, got 4");
  CHECK_THROWS_WITH(ResidualNetwork(NetworkOptions{.classes = 0}),
                    "[network] there must be at least 1 input channel and 1 class, got 3 and 0");
  CHECK_THROWS_WITH(ResidualNetwork(NetworkOptions{.dropout = std::numeric_limits<double>::quiet_NaN()}),
                    "[network] the dropout probability must be in [0,1), got nan");
  CHECK_THROWS_WITH(ResidualBranch(2, 2, {.dropout = std::numeric_limits<double>::quiet_NaN()}),
                    "[residual] the dropout probability must be in [0,1), got nan");
  CHECK_THROWS_WITH(ResidualNetwork(NetworkOptions{.dropout = 1}),
                    "[network] the dropout probability must be in [0,1), got 1");
  CHECK_THROWS_WITH(
      ResidualNetwork(NetworkOptions{.channels = {9, 9, 9, 9}}),
      "[network] a reversible block needs an even number of channels to cut into two streams, got 9");
  ResidualNetwork resnet(with_blocks("resnet32", 1));
  CHECK_THROWS_WITH(
      resnet.set_policy(Policy::reversible),
      "[network] policy reversible needs a network with reversible blocks (a revnet), got one without");
}

TEST_CASE("parameters are counted without the network", "[networks]") {
  std::vector<NetworkOptions> all;
  for (const std::string& name : network_names()) all.push_back(network_options(name));
  all.push_back(
      {.channels = {8, 8, 12}, .blocks = {1, 2}, .strides = {2, 2, 1}, .in_channels = 1, .classes = 3});
  all.push_back({.channels = {16, 4, 4},
                 .blocks = {2, 3},
                 .strides = {1, 1, 1},
                 .stem = {.kernel = 7, .max_pool = true},
                 .bottleneck = true});
  for (const NetworkOptions& options : all)
    CHECK(parameter_count(options) == ResidualNetwork(options).parameter_count());
}

TEST_CASE("a network that cannot be is refused before it is built", "[networks]") {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  const std::string text =
      "[network] the network must have at most 2^59 parameters, but its channels and blocks make more";
  CHECK_THROWS_WITH(ResidualNetwork({.channels = {2, 2}, .blocks = {kMax}}), text);
  CHECK_THROWS_WITH(ResidualNetwork({.channels = {kMax, 2}, .blocks = {1}, .bottleneck = true}), text);
  CHECK_THROWS_WITH(has_reversible_blocks({.channels = {2, kMax}, .blocks = {1}, .bottleneck = true}), text);
  CHECK_THROWS_WITH(parameter_count({.channels = {2, 2}, .blocks = {1}, .classes = kMax}), text);
}
