// Layers and losses against PyTorch's: outputs, gradients for a given dy, and buffers afterwards.
#include <retrace/autograd/ops.h>
#include <retrace/nn/activation.h>
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/embedding.h>
#include <retrace/nn/group_norm.h>
#include <retrace/nn/linear.h>
#include <retrace/nn/pool.h>

#include <functional>
#include <memory>

#include "../support/catch.h"
#include "golden.h"

using namespace retrace;
using namespace retrace::test;

namespace {

using MakeModule = std::function<std::shared_ptr<Module>()>;

template <class M, class... Arguments>
MakeModule make(const Arguments&... arguments) {
  return [=] { return std::make_shared<M>(arguments...); };
}

/// An operation as a module.
class Operation final : public Module {
 public:
  explicit Operation(std::function<Var(const Var&)> f) : f_(std::move(f)) {}
  Var forward(const Var& x) override { return f_(x); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Operation>(*this); }
  std::function<Var(const Var&)> f_;
};

MakeModule operation(const std::function<Var(const Var&)>& f) {
  return [=] { return std::make_shared<Operation>(f); };
}

MakeModule conv(std::int64_t in, std::int64_t out, const Conv2dLayerOptions& options) {
  return make<Conv2d>(in, out, options);
}
MakeModule norm(const BatchNorm2dOptions& options = {}) { return make<BatchNorm2d>(4, options); }
MakeModule max_pool(const Pool2dOptions& options) { return make<MaxPool2d>(options); }
MakeModule avg_pool(const Pool2dOptions& options) { return make<AvgPool2d>(options); }

const std::map<std::string, MakeModule>& modules() {
  static const std::map<std::string, MakeModule> all = {
      {"conv2d 3x3", conv(3, 4, {.kernel = 3})},
      {"conv2d 3x3 padding 1", conv(4, 4, {.kernel = 3, .padding = 1, .bias = false})},
      {"conv2d 3x3 stride 2 padding 1", conv(4, 6, {.kernel = 3, .stride = 2, .padding = 1, .bias = false})},
      {"conv2d 1x1 stride 2", conv(4, 6, {.kernel = 1, .stride = 2})},
      {"conv2d 3x3 dilation 2 padding 2", conv(3, 4, {.kernel = 3, .padding = 2, .dilation = 2})},
      {"conv2d 3x3 groups 2 padding 1", conv(4, 6, {.kernel = 3, .padding = 1, .groups = 2})},
      {"conv2d 3x3 depthwise", conv(4, 4, {.kernel = 3, .groups = 4})},
      {"conv2d 7x7 stride 2 padding 3", conv(3, 4, {.kernel = 7, .stride = 2, .padding = 3, .bias = false})},
      {"conv2d all options",
       conv(4, 6, {.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 2}, .dilation = {2, 3}, .groups = 2})},
      {"linear", make<Linear>(7, 5)},
      {"linear without bias", make<Linear>(7, 5, LinearOptions{.bias = false})},
      {"linear of rank 3", make<Linear>(5, 3)},
      {"batch norm train", norm()},
      {"batch norm eval", norm()},
      {"batch norm train momentum 0.99 eps 0.001", norm({.eps = 1e-3, .momentum = 0.99})},
      {"batch norm eval momentum 0.99 eps 0.001", norm({.eps = 1e-3, .momentum = 0.99})},
      {"layer norm", make<LayerNorm>(Shape{6})},
      {"layer norm of two dimensions", make<LayerNorm>(Shape{3, 4}, LayerNormOptions{.eps = 1e-3})},
      {"layer norm without affine", make<LayerNorm>(Shape{6}, LayerNormOptions{.elementwise_affine = false})},
      {"group norm", make<GroupNorm>(2, 6)},
      {"group norm without affine", make<GroupNorm>(3, 6, GroupNormOptions{.affine = false})},
      {"embedding", make<Embedding>(6, 4)},
      {"embedding padding_idx 3", make<Embedding>(6, 4, EmbeddingOptions{.padding_idx = 3})},
      {"max pool 2", max_pool({.kernel = 2})},
      {"max pool 3 stride 2 padding 1", max_pool({.kernel = 3, .stride = 2, .padding = 1})},
      {"max pool 3x2 stride 1x2", max_pool({.kernel = {3, 2}, .stride = Size2d{1, 2}, .padding = {1, 0}})},
      {"avg pool 2", avg_pool({.kernel = 2})},
      {"avg pool 3 stride 2 padding 1", avg_pool({.kernel = 3, .stride = 2, .padding = 1})},
      {"adaptive avg pool 1", make<AdaptiveAvgPool2d>(Size2d{1})},
      {"adaptive avg pool 3x2", make<AdaptiveAvgPool2d>(Size2d{3, 2})},
      {"relu", make<ReLU>()},
      {"leaky relu", make<LeakyReLU>()},
      {"leaky relu 0.2", make<LeakyReLU>(0.2)},
      {"tanh", make<Tanh>()},
      {"sigmoid", make<Sigmoid>()},
      {"silu", make<SiLU>()},
      {"gelu", make<GELU>()},
      {"gelu tanh", make<GELU>(GeluOptions{.approximate = GeluApproximation::tanh})},
      {"softmax", operation([](const Var& x) { return softmax(x, 1); })},
      {"log softmax", operation([](const Var& x) { return log_softmax(x, 1); })},
  };
  return all;
}

/// A loss of x; the other inputs come from the case.
using Loss = std::function<Var(const Var& x, GoldenCase& golden)>;

Loss entropy(double label_smoothing, Reduction reduction = Reduction::mean) {
  return [=](const Var& x, GoldenCase& golden) {
    return cross_entropy(x, golden.take("in", "target"),
                         {.reduction = reduction, .label_smoothing = label_smoothing});
  };
}

Loss difference(Var (*loss)(const Var& x, const Var& y, Reduction reduction), Reduction reduction) {
  return [=](const Var& x, GoldenCase& golden) { return loss(x, golden.take("in", "target"), reduction); };
}

const std::map<std::string, Loss>& losses() {
  static const std::map<std::string, Loss> all = {
      {"cross entropy", entropy(0)},
      {"cross entropy none", entropy(0, Reduction::none)},
      {"cross entropy sum", entropy(0, Reduction::sum)},
      {"cross entropy label smoothing 0.1", entropy(0.1)},
      {"cross entropy weight",
       [](const Var& x, GoldenCase& golden) {
         return cross_entropy(x, golden.take("in", "target"), {.weight = golden.take("in", "weight")});
       }},
      {"cross entropy all options",
       [](const Var& x, GoldenCase& golden) {
         return cross_entropy(
             x, golden.take("in", "target"),
             {.weight = golden.take("in", "weight"), .ignore_index = 4, .label_smoothing = 0.2});
       }},
      {"mse none", difference(&mse_loss, Reduction::none)},
      {"mse mean", difference(&mse_loss, Reduction::mean)},
      {"mse sum", difference(&mse_loss, Reduction::sum)},
      {"l1 none", difference(&l1_loss, Reduction::none)},
      {"l1 mean", difference(&l1_loss, Reduction::mean)},
      {"l1 sum", difference(&l1_loss, Reduction::sum)},
      {"bce with logits",
       [](const Var& x, GoldenCase& golden) {
         return binary_cross_entropy_with_logits(x, golden.take("in", "target"));
       }},
      {"bce with logits pos_weight",
       [](const Var& x, GoldenCase& golden) {
         return binary_cross_entropy_with_logits(x, golden.take("in", "target"),
                                                 {.pos_weight = golden.take("in", "pos_weight")});
       }},
      {"bce with logits all options",
       [](const Var& x, GoldenCase& golden) {
         return binary_cross_entropy_with_logits(x, golden.take("in", "target"),
                                                 {.weight = golden.take("in", "weight"),
                                                  .pos_weight = golden.take("in", "pos_weight"),
                                                  .reduction = Reduction::sum});
       }},
  };
  return all;
}

/// Forward and backward of `f`, compared; parameters and buffers are those of `module`.
void check_layer(GoldenCase& golden, Module& module, const std::function<Var(const Var&)>& f) {
  const Tensor input = golden.take("in", "x");
  Tape tape;
  const Var x = is_float(input.dtype()) ? tape.watch(input) : Var(input);
  const Var y = f(x);
  golden.check("out", "y", y.value());
  tape.backward(y, golden.take("in", "dy"));
  if (is_float(input.dtype())) golden.check("grad", "x", tape.grad(x));
  golden.check_gradients(module);
  golden.check_buffers(module);
}

}  // namespace

TEST_CASE("layers are PyTorch's", "[layers]") {
  const GoldenFile file("layers");
  for (const auto& entry : modules())
    in_both_types(file, entry.first, [&](GoldenCase& golden) {
      const std::shared_ptr<Module> module = entry.second();
      golden.load(*module);
      module->train(entry.first.find(" eval") == std::string::npos);
      check_layer(golden, *module, [&](const Var& x) { return (*module)(x); });
    });
}

TEST_CASE("losses are PyTorch's", "[layers]") {
  const GoldenFile file("layers");
  for (const auto& entry : losses())
    in_both_types(file, entry.first, [&](GoldenCase& golden) {
      Operation nothing({});
      check_layer(golden, nothing, [&](const Var& x) { return entry.second(x, golden); });
    });
}

TEST_CASE("every layer and loss in the file is compared", "[layers]") {
  std::set<std::string> compared;
  for (const auto& entry : modules()) compared.insert(entry.first);
  for (const auto& entry : losses()) compared.insert(entry.first);
  CHECK(GoldenFile("layers").cases() == compared);
}
