// The six networks against MemCNN's in f64; README.md says why not in f32. Weights and images are those of
// hash_values.h; of each gradient, weight and buffer its norm is stored and its product with a hash vector.
#include <retrace/autograd/ops.h>
#include <retrace/nn/optimizer.h>
#include <retrace/revnet/memcnn_names.h>

#include <algorithm>

#include "../support/catch.h"
#include "../support/rounding.h"
#include "golden.h"
#include "hash_values.h"

using namespace retrace;
using namespace retrace::test;

namespace {

constexpr std::int64_t kBatch = 2;
constexpr std::int64_t kClasses = 10;
constexpr int kSteps = 3;
// Roundings of a tensor's norm in the first step: one for each of some 1e3 operations in a row, which a
// network magnifies by 1e3 at most. Each of three steps magnifies what the step before has left ten times.
constexpr double kFirst = 1e6;
constexpr double kLater = 100 * kFirst;

using NamedTensors = std::vector<Named<Tensor>>;

/// The network in f64 with its weights set by MemCNN's names.
ResidualNetwork make_network(const std::string& name, Policy policy) {
  ResidualNetwork network(network_options(name));
  network.to(DType::f64);
  network.set_policy(policy);
  const auto names = memcnn_names(network);
  for (const auto& [path, parameter] : network.named_parameters())
    parameter->value() = hash_weight(names.at(path), parameter->shape()).clone(Tag::parameter);
  return network;
}

/// Compares each tensor's two numbers with the rows of CASE/`kind`/characters, which are in the order of the
/// names.
void check_characters(GoldenCase& golden, const std::string& kind, NamedTensors tensors, double allowed) {
  std::ranges::sort(tensors, {}, &Named<Tensor>::first);
  const std::vector<double> expected = golden.take(kind, "characters").to_vector<double>();
  REQUIRE(expected.size() == 2 * tensors.size());
  double whole = 0;
  for (std::size_t i = 0; i < expected.size(); i += 2) whole = std::hypot(whole, expected[i]);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    INFO(golden.name() << ": " << kind << "/" << tensors[i].first);
    const Tensor& tensor = tensors[i].second;
    const std::vector<double> values = tensor.to_vector<double>();
    const Tensor probe = hash_values("probe " + tensors[i].first, tensor.shape());
    double product = 0;
    for (std::size_t j = 0; j < values.size(); ++j) product += values[j] * probe.data<double>()[j];
    // One that is zero in exact arithmetic is measured against all of them.
    const double scale = expected[2 * i] > 1e-12 * whole ? expected[2 * i] : whole;
    CHECK(std::abs(norm(values) - expected[2 * i]) / (scale * unit_roundoff(DType::f64)) <= allowed);
    CHECK(std::abs(product - expected[2 * i + 1]) / (scale * unit_roundoff(DType::f64)) <= allowed);
  }
}

NamedTensors gradients(ResidualNetwork& network) {
  const auto names = memcnn_names(network);
  NamedTensors result;
  for (const auto& [path, parameter] : network.named_parameters())
    result.emplace_back(names.at(path), parameter->grad());
  return result;
}

/// The network's parameters, or its floating-point buffers.
NamedTensors values(ResidualNetwork& network, bool buffers) {
  const auto names = memcnn_names(network);
  NamedTensors result;
  if (!buffers)
    for (const auto& [path, parameter] : network.named_parameters())
      result.emplace_back(names.at(path), parameter->value());
  else
    for (const auto& [path, buffer] : network.named_buffers())
      if (is_float(buffer->dtype())) result.emplace_back(names.at(path), *buffer);
  return result;
}

/// Three steps of SGD.
void check_network(const GoldenFile& file, const std::string& name, Policy policy) {
  INFO("policy " << name_of(policy));
  GoldenCase golden(file, name, DType::f64);
  ResidualNetwork network = make_network(name, policy);
  Tensor images = hash_values("images", {kBatch, 3, 32, 32});
  for (double& pixel : images.mutable_values<double>()) pixel *= 2;
  const Tensor labels = hash_labels("labels", kBatch, kClasses);
  SGD optimizer(network.parameters(), {.lr = 0.01, .momentum = 0.9, .weight_decay = 2e-4});
  std::vector<double> losses;
  for (int step = 0; step < kSteps; ++step) {
    optimizer.zero_grad();
    Tape tape;
    const Var logits = network(Var(images));
    const Var loss = cross_entropy(logits, labels);
    losses.push_back(loss.value().item());
    tape.backward(loss);
    if (step == 0) {
      golden.check("out", "logits", logits.value(), kFirst);
      check_characters(golden, "grad", gradients(network), kFirst);
    }
    optimizer.step();
  }
  golden.check("out", "losses", Tensor::from(std::span<const double>(losses), {kSteps}), kLater);
  check_characters(golden, "trained", values(network, false), kLater);
  check_characters(golden, "after", values(network, true), kLater);
  golden.check_all_used();
}

}  // namespace

TEST_CASE("resnets are MemCNN's", "[networks]") {
  const GoldenFile file("networks");
  for (const std::string name : {"resnet32", "resnet110", "resnet164"})
    for (const Policy policy : {Policy::stored, Policy::checkpoint}) check_network(file, name, policy);
}

TEST_CASE("revnets are MemCNN's, with every policy", "[networks]") {
  const GoldenFile file("networks");
  for (const std::string name : {"revnet38", "revnet110", "revnet164"})
    for (const Policy policy : {Policy::stored, Policy::checkpoint, Policy::reversible})
      check_network(file, name, policy);
}

TEST_CASE("every network in the file is compared", "[networks]") {
  CHECK(GoldenFile("networks").cases() ==
        std::set<std::string>{"resnet32", "resnet110", "resnet164", "revnet38", "revnet110", "revnet164"});
}
