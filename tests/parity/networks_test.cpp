#include <retrace/revnet/networks.h>

#include <cmath>
#include <map>

#include "../support/catch.h"
#include "../support/random_tensor.h"

using namespace retrace;
using namespace retrace::test;

namespace {

using Layout = std::map<std::string, std::string>;

/// Every parameter's shape, as text, by its path.
Layout shapes_of(ResidualNetwork& network) {
  Layout shapes;
  for (const auto& [path, parameter] : network.named_parameters())
    shapes[path] = to_string(parameter->shape());
  return shapes;
}

std::string conv(std::int64_t out, std::int64_t in, std::int64_t kernel) {
  return to_string(Shape{out, in, kernel, kernel});
}

/// The layout that a row's words say, written down once more, independently of the library.
class Expected {
 public:
  Expected(const std::vector<std::int64_t>& channels, std::int64_t blocks, bool bottleneck, bool reversible)
      : bottleneck_(bottleneck), reversible_(reversible) {
    layout["conv1.weight"] = conv(channels[0], 3, 3);
    norm("bn1", channels[0]);
    std::int64_t in = channels[0];
    for (std::size_t stage = 1; stage <= 3; ++stage)
      for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t out = channels[stage] * (bottleneck ? 4 : 1);
        const bool changes = in != out || (stage > 1 && b == 0);
        block("stage" + std::to_string(stage) + "." + std::to_string(b), in, channels[stage], changes,
              stage > 1 || b > 0);
        in = out;
      }
    norm("bn_final", in);
    layout["fc.weight"] = to_string(Shape{10, in});
    layout["fc.bias"] = "[10]";
  }

  Layout layout;

 private:
  void norm(const std::string& path, std::int64_t channels) {
    layout[path + ".weight"] = layout[path + ".bias"] = to_string(Shape{channels});
  }

  void branch(const std::string& path, std::int64_t in, std::int64_t width, bool preactivation) {
    if (preactivation) norm(path + ".bn1", in);
    norm(path + ".bn2", width);
    layout[path + ".conv1.weight"] = conv(width, in, bottleneck_ ? 1 : 3);
    layout[path + ".conv2.weight"] = conv(width, width, 3);
    if (!bottleneck_) return;
    norm(path + ".bn3", width);
    layout[path + ".conv3.weight"] = conv(4 * width, width, 1);
  }

  void block(const std::string& path, std::int64_t in, std::int64_t width, bool changes, bool preactivation) {
    if (reversible_ && !changes) {
      branch(path + ".F", in / 2, width / 2, preactivation);
      branch(path + ".G", in / 2, width / 2, preactivation);
      return;
    }
    branch(path + ".F", in, width, preactivation);
    if (!changes) return;
    layout[path + ".shortcut_conv.weight"] = conv(width * (bottleneck_ ? 4 : 1), in, 1);
    norm(path + ".shortcut_bn", width * (bottleneck_ ? 4 : 1));
  }

  bool bottleneck_;
  bool reversible_;
};

/// Mean and standard deviation.
std::pair<double, double> moments(const std::vector<double>& x) {
  const auto n = static_cast<double>(x.size());
  double sum = 0;
  double squares = 0;
  for (const double v : x) sum += v;
  for (const double v : x) squares += (v - sum / n) * (v - sum / n);
  return {sum / n, std::sqrt(squares / n)};
}

NetworkOptions imagenet(bool reversible, bool bottleneck, const BatchNorm2dOptions& norm) {
  return {.channels = {64, 64, 128, 256, 512},
          .blocks = {2, 2, 2, 2},
          .strides = {2, 2, 2, 2, 2},
          .stem = {.kernel = 7, .max_pool = true},
          .norm = norm,
          .bottleneck = bottleneck,
          .reversible = reversible,
          .classes = 2};
}

/// The shapes of the batch of two images wherever it has this number of channels, as far as the tape keeps
/// it.
std::vector<std::string> saved_shapes(const Tape& tape, std::int64_t channels) {
  std::vector<std::string> shapes;
  for (const SavedTensor& saved : tape.saved()) {
    const Shape& shape = saved.tensor.shape();
    if (shape.rank() == 4 && shape[0] == 2 && shape[1] == channels) shapes.push_back(to_string(shape));
  }
  return shapes;
}

}  // namespace

TEST_CASE("[P50] the six networks have MemCNN's numbers of parameters", "[P50]") {
  const std::map<std::string, std::int64_t> expected = {{"resnet32", 466906},   {"resnet110", 1730714},
                                                        {"resnet164", 1704154}, {"revnet38", 573994},
                                                        {"revnet110", 1854890}, {"revnet164", 1983786}};
  for (const auto& [name, parameters] : expected) {
    INFO(name);
    NetworkOptions options = network_options(name);
    CHECK(options.classes == 10);
    CHECK(ResidualNetwork(options).parameter_count() == parameters);
    // 100 classes change the last layer alone: 90 more rows of weights, with a bias each.
    options.classes = 100;
    const std::int64_t features = options.channels.back() * (options.bottleneck ? 4 : 1);
    CHECK(ResidualNetwork(options).parameter_count() == parameters + 90 * (features + 1));
  }
}

TEST_CASE("[P51] the six networks have MemCNN's layouts", "[P51]") {
  const std::map<std::string, Expected> expected = {
      {"resnet32", {{16, 16, 32, 64}, 5, false, false}},  {"resnet110", {{16, 16, 32, 64}, 18, false, false}},
      {"resnet164", {{16, 16, 32, 64}, 18, true, false}}, {"revnet38", {{32, 32, 64, 112}, 3, false, true}},
      {"revnet110", {{32, 32, 64, 128}, 9, false, true}}, {"revnet164", {{32, 32, 64, 128}, 9, true, true}}};
  for (const auto& [name, layout] : expected) {
    INFO(name);
    ResidualNetwork network(network_options(name));
    CHECK(shapes_of(network) == layout.layout);
  }
}

TEST_CASE("[P51] stages after the first halve the image, and nothing else does", "[P51]") {
  NetworkOptions options = network_options("resnet32");
  options.blocks = {2, 2, 2};
  options.channels = {4, 6, 8, 10};
  ResidualNetwork network(options);
  const Tape tape;
  const Var y = network(Var(random_tensor({2, 3, 32, 32}, DType::f32, 1)));
  CHECK(y.shape() == Shape{2, 10});
  for (const auto& [channels, shape] : std::map<std::int64_t, std::string>{
           {4, "[2,4,32,32]"}, {6, "[2,6,32,32]"}, {8, "[2,8,16,16]"}, {10, "[2,10,8,8]"}}) {
    const std::vector<std::string> shapes = saved_shapes(tape, channels);
    CHECK(!shapes.empty());
    for (const std::string& saved : shapes) CHECK(saved == shape);
  }
}

TEST_CASE("[P51] convolutions begin He-normal for the way back, batch norms as the identity", "[P51]") {
  for (const std::string_view name : {"resnet32", "resnet164", "revnet38", "revnet164"}) {
    manual_seed(3);
    ResidualNetwork network(network_options(name));
    for (const auto& [path, module] : network.named_modules()) {
      INFO(name << " " << path);
      if (auto* layer = dynamic_cast<Conv2d*>(module)) {
        const Tensor& w = layer->weight().value();
        const auto n = static_cast<double>(w.numel());
        const double std = std::sqrt(2.0 / static_cast<double>(w.shape()[0] * w.shape()[2] * w.shape()[3]));
        const auto [mean, deviation] = moments(w.to_vector<double>());
        // Five standard deviations of both estimates.
        CHECK(std::abs(mean) <= 5 * std / std::sqrt(n));
        CHECK(std::abs(deviation / std - 1) <= 5 / std::sqrt(2 * n));
        CHECK_FALSE(layer->bias().defined());
      }
      if (auto* layer = dynamic_cast<BatchNorm2d*>(module)) {
        for (const double v : layer->weight().value().to_vector<double>()) CHECK(v == 1);
        for (const double v : layer->bias().value().to_vector<double>()) CHECK(v == 0);
        for (const double v : layer->running_var().to_vector<double>()) CHECK(v == 1);
      }
    }
  }
}

TEST_CASE("[P52] four stages, a 7x7 stem and a max pool run a batch in evaluation", "[P52]") {
  const BatchNorm2dOptions fixed{.eps = 1e-3, .momentum = 0.99};
  const std::vector<NetworkOptions> all = {imagenet(false, false, fixed), imagenet(false, true, {}),
                                           imagenet(true, false, {}), imagenet(true, true, fixed)};
  for (const NetworkOptions& options : all) {
    ResidualNetwork network(options);
    network.eval();
    const Var y = network(Var(Tensor::full({2, 3, 32, 32}, 1, DType::f32)));
    CHECK(y.shape() == Shape{2, 2});
    for (const double v : y.value().to_vector<double>()) CHECK(std::isfinite(v));
    CHECK(shapes_of(network).at("conv1.weight") == "[64,3,7,7]");
    CHECK(shapes_of(network).contains("stage4.1." + std::string(options.reversible ? "G" : "F") +
                                      ".conv2.weight"));
    CHECK_FALSE(shapes_of(network).contains("stage5.0.F.conv1.weight"));
  }
}

TEST_CASE("[P52] stem, pool and stages shrink the image as their strides say", "[P52]") {
  NetworkOptions options = imagenet(false, false, {});
  options.channels = {4, 6, 8, 10, 12};
  options.strides = {2, 1, 2, 2, 2};
  ResidualNetwork network(options);
  const Tape tape;
  CHECK(network(Var(random_tensor({2, 3, 64, 64}, DType::f32, 1))).shape() == Shape{2, 2});
  // The stem's batch norm sees 64 / 2, what lies behind the pool 64 / 4.
  for (const auto& [channels, shape] : std::map<std::int64_t, std::string>{
           {6, "[2,6,16,16]"}, {8, "[2,8,8,8]"}, {10, "[2,10,4,4]"}, {12, "[2,12,2,2]"}}) {
    const std::vector<std::string> shapes = saved_shapes(tape, channels);
    CHECK(!shapes.empty());
    for (const std::string& saved : shapes) CHECK(saved == shape);
  }
  CHECK(saved_shapes(tape, 4).front() == "[2,4,32,32]");
}

TEST_CASE("[P52] every batch norm takes the network's options", "[P52]") {
  NetworkOptions options = imagenet(true, false, {.eps = 1e-3, .momentum = 0.99});
  options.channels = {4, 4, 4, 4, 4};
  ResidualNetwork network(options);
  network(Var(random_tensor({2, 3, 64, 64}, DType::f32, 1)));
  for (const auto& [path, module] : network.named_modules()) {
    auto* norm = dynamic_cast<BatchNorm2d*>(module);
    if (norm == nullptr) continue;
    INFO(path);
    // 0.01 of the 1 that it began with, and 0.99 of the batch's variance; with the usual momentum, 0.9 or
    // more.
    for (const double v : norm->running_var().to_vector<double>()) {
      CHECK(v >= 0.01F);
      CHECK(norm->num_batches_tracked().item() == 1);
    }
  }
}
