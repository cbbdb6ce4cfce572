#include <retrace/core/error.h>
#include <retrace/core/random.h>
#include <retrace/nn/activation.h>
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/embedding.h>
#include <retrace/nn/flatten.h>
#include <retrace/nn/group_norm.h>
#include <retrace/nn/linear.h>
#include <retrace/nn/pool.h>
#include <retrace/nn/sequential.h>

#include "../support/catch.h"

using namespace retrace;

namespace {

using Names = std::vector<std::string>;

Names parameter_names(Module& module) {
  Names names;
  for (const auto& [name, parameter] : module.named_parameters()) names.push_back(name);
  return names;
}

}  // namespace

TEST_CASE("modules run one behind the other, named by position", "[sequential]") {
  const auto first = std::make_shared<Linear>(2, 3);
  const auto last = std::make_shared<Linear>(3, 1);
  Sequential net(first, std::make_shared<Tanh>(), last);
  CHECK(net.size() == 3);
  CHECK(net[2] == last);
  CHECK(parameter_names(net) == Names{"0.weight", "0.bias", "2.weight", "2.bias"});

  const Var x = Tensor::from<float>({1, -1}, {1, 2});
  Tanh tanh;
  CHECK(net(x).value().item() == (*last)(tanh((*first)(x))).value().item());
}

TEST_CASE("a sequence may be named, nested and extended after a call", "[sequential]") {
  const auto features = std::make_shared<Sequential>(std::vector<Named<std::shared_ptr<Module>>>{
      {"conv", std::make_shared<Conv2d>(1, 2, Conv2dLayerOptions{.kernel = 2})},
      {"norm", std::make_shared<BatchNorm2d>(2)}});
  Sequential net;
  net.append("features", features).append(std::make_shared<Flatten>());
  CHECK(parameter_names(net) ==
        Names{"features.conv.weight", "features.conv.bias", "features.norm.weight", "features.norm.bias"});
  const Var x = Tensor::full({3, 1, 3, 3}, 1, DType::f32);
  CHECK(net(x).shape() == Shape{3, 8});

  net.append("head", std::make_shared<Linear>(8, 5));
  const Tape tape;
  const Var y = net(x);
  CHECK(y.shape() == Shape{3, 5});
  CHECK(path_of(ledger().alive(Tag::activation).back().scope) == "head");
}

TEST_CASE("a sequence takes modules themselves, made in order, and shared ones", "[sequential]") {
  manual_seed(3);
  const auto common = std::make_shared<Tanh>();
  auto net = shared(Sequential{Linear(2, 3, {.bias = false}), common, Linear(3, 1)});
  net->append(Sequential{ReLU(), common}).append("last", LeakyReLU(0.5)).append(net->clone());
  CHECK(net->size() == 6);
  CHECK((*net)[1] == common);
  CHECK(parameter_names(*net) ==
        Names{"0.weight", "2.weight", "2.bias", "5.0.weight", "5.2.weight", "5.2.bias"});
  manual_seed(3);
  Linear first(2, 3, {.bias = false});
  CHECK(net->parameters()[0]->value().to_vector<float>() == first.weight().value().to_vector<float>());
}

TEST_CASE("layers with options in braces can be shared", "[sequential]") {
  const std::vector<std::shared_ptr<Module>> layers = {
      shared(Conv2d(2, 2, {.kernel = 3})),
      shared(Linear(2, 2, {.bias = false})),
      shared(BatchNorm2d(2, {.momentum = 0.5})),
      shared(GroupNorm(1, 2, {.eps = 1})),
      shared(LayerNorm({2, 3}, {.bias = false})),
      shared(Embedding(3, 2, {.padding_idx = 0})),
      shared(MaxPool2d({.kernel = {2, 3}})),
      shared(AvgPool2d({.kernel = 2, .stride = 1})),
      shared(AdaptiveAvgPool2d({2, 3})),
      shared(GELU({.approximate = GeluApproximation::tanh})),
      shared(Flatten(0, 1)),
  };
  for (const std::shared_ptr<Module>& layer : layers) CHECK(layer.use_count() == 1);
}

TEST_CASE("a sequence without modules gives what it gets", "[sequential]") {
  Sequential none;
  const Tensor x = Tensor::full({2}, 3, DType::f32);
  CHECK(none(Var(x)).value().shares_storage(x));
  CHECK(none.clone()->parameters().empty());
}

TEST_CASE("a copy of a sequence shares nothing, and what it held twice it holds twice", "[sequential]") {
  const auto layer = std::make_shared<Linear>(2, 2);
  Sequential net(layer, layer);
  CHECK(parameter_names(net) == Names{"0.weight", "0.bias"});
  const auto copy = net.clone();
  auto& twin = dynamic_cast<Sequential&>(*copy);
  CHECK(twin[0] == twin[1]);
  CHECK(twin[0] != net[0]);
  const Var x = Tensor::from<float>({1, -1}, {1, 2});
  CHECK(twin(x).value().to_vector<float>() == net(x).value().to_vector<float>());
}

TEST_CASE("modules that a sequence does not take", "[sequential]") {
  Sequential net;
  CHECK_THROWS_AS(net.append(nullptr), ArgumentError);
  CHECK_THROWS_WITH(net.append(nullptr), "[sequential] the module '0' must be one, got an empty pointer");
  CHECK_THROWS_WITH(net.append("", std::make_shared<Tanh>()),
                    "[sequential] a name must not be empty or contain a '.', got ''");
  CHECK_THROWS_WITH(net.append("a.b", std::make_shared<Tanh>()),
                    "[sequential] a name must not be empty or contain a '.', got 'a.b'");
  net.append("a", std::make_shared<Tanh>());
  CHECK_THROWS_WITH(net.append("a", std::make_shared<Tanh>()),
                    "[sequential] each name must occur once, got 'a' twice");
  CHECK(net.size() == 1);
  CHECK_THROWS_AS(net[1], ArgumentError);
  CHECK_THROWS_WITH(net[1], "[sequential] a position must be below 1, got 1");
}

TEST_CASE("a residual is offered to the last module", "[sequential]") {
  const auto conv = std::make_shared<Conv2d>(2, 3, Conv2dLayerOptions{.kernel = 1});
  Sequential ends_with_conv(std::make_shared<Tanh>(), conv);
  Sequential ends_with_tanh(conv, std::make_shared<Tanh>());
  const Var x = Tensor::full({1, 2, 2, 2}, 0.5, DType::f32);
  const Tensor residual = Tensor::full({1, 3, 2, 2}, 4, DType::f32);
  const auto values = [](const Var& v) { return v.value().to_vector<float>(); };

  Var taken = residual;
  std::vector<float> sum = values(ends_with_conv(x));
  for (float& value : sum) value += 4;
  CHECK(values(ends_with_conv.onto(taken, Sign::plus, x)) == sum);
  CHECK_FALSE(taken.defined());

  Var left = residual;
  CHECK(values(ends_with_tanh.onto(left, Sign::plus, x)) == values(ends_with_tanh(x)));
  CHECK(left.defined());
  CHECK(Sequential().onto(left, Sign::plus, x).value().to_vector<float>() == values(x));
  CHECK(left.defined());
}
