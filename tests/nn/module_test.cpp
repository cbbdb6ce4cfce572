#include <retrace/autograd/ops.h>
#include <retrace/core/error.h>
#include <retrace/nn/module.h>

#include "../support/catch.h"
#include "../support/rounding.h"

using namespace retrace;
using test::roundings;

namespace {

/// y = tanh(x), with a weight, a bias that may be absent, and a running mean.
class Layer final : public Module {
 public:
  explicit Layer(float value = 1, bool bias = true)
      : weight_(Tensor::full({2}, value, DType::f32)),
        bias_(bias ? Parameter(Tensor::full({3}, value, DType::f32)) : Parameter()),
        mean_(Tensor::full({4}, value, DType::f32, Tag::buffer)),
        calls_(Tensor::zeros({}, DType::i64, Tag::buffer)) {}

  Var forward(const Var& x) override { return tanh(x); }
  void members(Members& m) override {
    m.parameter("weight", weight_);
    m.parameter("bias", bias_);
    m.buffer("mean", mean_);
    m.buffer("calls", calls_);
  }
  Parameter& weight() { return weight_; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Layer>(*this); }

  Parameter weight_;
  Parameter bias_;
  Tensor mean_;
  Tensor calls_;
};

/// One layer by value, one by pointer that may be shared, a scale of its own.
class Stage final : public Module {
 public:
  explicit Stage(std::shared_ptr<Layer> second)
      : scale_(Tensor::full({1}, 2, DType::f32)), second_(std::move(second)) {}

  Var forward(const Var& x) override { return (*second_)(first_(x)); }
  void members(Members& m) override {
    m.module("first", first_);
    m.parameter("scale", scale_);
    m.module("second", second_);
    m.module("absent", absent_);
  }
  std::shared_ptr<Layer>& second() { return second_; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Stage>(*this); }

  Layer first_{1, /*bias=*/false};
  Parameter scale_;
  std::shared_ptr<Layer> second_;
  std::shared_ptr<Layer> absent_;
};

/// Two blocks that share their second layer.
class Net final : public Module {
 public:
  Var forward(const Var& x) override { return block2_(block1_(x)); }
  void members(Members& m) override {
    m.module("block1", block1_);
    m.module("block2", block2_);
  }
  Stage& block1() { return block1_; }
  Stage& block2() { return block2_; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Net>(*this); }

  std::shared_ptr<Layer> shared_ = std::make_shared<Layer>(5);
  Stage block1_{shared_};
  Stage block2_{shared_};
};

/// Swaps two inputs.
class Swap final : public Module {
  Vars forward_all(const Vars& xs) override { return {xs[1], xs[0]}; }
  std::shared_ptr<Module> copy() const override { return std::make_shared<Swap>(*this); }
};

using Names = std::vector<std::string>;

template <class T>
Names names_of(const std::vector<Named<T>>& named) {
  Names names;
  for (const auto& [name, thing] : named) names.push_back(name);
  return names;
}

std::vector<Tensor> tensors_of(Module& module) {
  std::vector<Tensor> tensors;
  for (const Parameter* parameter : module.parameters()) tensors.push_back(parameter->value());
  for (const auto& [name, buffer] : module.named_buffers()) tensors.push_back(*buffer);
  return tensors;
}

}  // namespace

TEST_CASE("what a module owns is listed by path, in order, shared things once", "[module]") {
  Net net;
  CHECK(names_of(net.named_parameters()) == Names{"block1.first.weight", "block1.scale",
                                                  "block1.second.weight", "block1.second.bias",
                                                  "block2.first.weight", "block2.scale"});
  CHECK(names_of(net.named_buffers()) == Names{"block1.first.mean", "block1.first.calls",
                                               "block1.second.mean", "block1.second.calls",
                                               "block2.first.mean", "block2.first.calls"});
  CHECK(names_of(net.named_modules()) ==
        Names{"", "block1", "block1.first", "block1.second", "block2", "block2.first"});
  CHECK(net.parameters().size() == 6);
  CHECK(net.parameters()[2] == &net.block2().second()->weight());
  CHECK(net.parameter_count() == 2 + 1 + 2 + 3 + 2 + 1);
}

TEST_CASE("training and evaluation are switched for all modules below", "[module]") {
  Net net;
  CHECK(net.training());
  net.eval();
  for (const auto& [name, module] : net.named_modules()) CHECK_FALSE(module->training());
  net.block1().train();
  CHECK(net.block1().training());
  CHECK(net.block2().second()->training());  // shared
  CHECK_FALSE(net.block2().training());
  CHECK_FALSE(net.training());
}

TEST_CASE("a clone is equal and shares nothing", "[module]") {
  Net net;
  net.eval();
  net.block1().second()->weight().accumulate_grad(Tensor::full({2}, 1, DType::f32));
  const auto module = net.clone();
  auto& twin = dynamic_cast<Net&>(*module);

  CHECK(names_of(twin.named_parameters()) == names_of(net.named_parameters()));
  CHECK_FALSE(twin.training());
  CHECK_FALSE(twin.block1().second()->weight().has_grad());
  const std::vector<Tensor> ours = tensors_of(net);
  const std::vector<Tensor> theirs = tensors_of(twin);
  REQUIRE(ours.size() == theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    CHECK(ours[i].to_vector<double>() == theirs[i].to_vector<double>());
    CHECK(ours[i].storage().tag() == theirs[i].storage().tag());
    CHECK_FALSE(ours[i].shares_storage(theirs[i]));
  }

  // what was shared inside the network is shared inside the copy, and with it alone
  CHECK(twin.block1().second() == twin.block2().second());
  CHECK(twin.block1().second() != net.block1().second());
  twin.eval();
  net.train();
  for (const auto& [name, part] : twin.named_modules()) CHECK_FALSE(part->training());
}

TEST_CASE("a clone of a part leaves the whole", "[module]") {
  Net net;
  const auto block = net.block1().clone();
  CHECK(names_of(block->named_parameters()) ==
        Names{"first.weight", "scale", "second.weight", "second.bias"});
  CHECK(dynamic_cast<Stage&>(*block).second() != net.block1().second());
  CHECK(net.block1().second() == net.block2().second());
}

TEST_CASE("parameters and floating-point buffers are converted", "[module]") {
  Net net;
  net.block1().second()->weight().accumulate_grad(Tensor::full({2}, 1, DType::f32));
  net.to(DType::f64);
  for (const Parameter* parameter : net.parameters()) {
    CHECK(parameter->value().dtype() == DType::f64);
    CHECK(parameter->value().storage().tag() == Tag::parameter);
    CHECK_FALSE(parameter->has_grad());
  }
  for (const auto& [name, buffer] : net.named_buffers()) {
    CHECK(buffer->dtype() == (name.ends_with("calls") ? DType::i64 : DType::f64));
    CHECK(buffer->storage().tag() == Tag::buffer);
  }
  CHECK(net.parameters()[2]->value().to_vector<double>() == std::vector<double>{5, 5});
  CHECK_THROWS_AS(net.to(DType::i32), DTypeError);
  CHECK_THROWS_WITH(net.to(DType::i32), "[module] dtype must be f32, f64, bf16 or f16, got i32");
}

TEST_CASE("gradients of all parameters are forgotten", "[module]") {
  Net net;
  for (Parameter* parameter : net.parameters())
    parameter->accumulate_grad(Tensor::full(parameter->shape(), 1, DType::f32, Tag::gradient));
  net.parameters()[1]->invalidate_grad("backward failed");
  net.zero_grad();
  for (const Parameter* parameter : net.parameters()) CHECK_FALSE(parameter->grad().defined());
}

TEST_CASE("the ledger knows in which module a tensor was made", "[module]") {
  class Outer final : public Module {
   public:
    Var forward(const Var& x) override { return net(x); }
    void members(Members& m) override { m.module("net", net); }
    Net net;

   private:
    std::shared_ptr<Module> copy() const override { return std::make_shared<Outer>(*this); }
  } outer;
  const Tensor x = Tensor::full({7}, 0.5, DType::f32);
  const Tape tape;
  const auto paths = [&] {
    Names result;
    for (const AllocationRecord& record : ledger().alive(Tag::activation)) {
      CHECK(record.op == "tanh");
      result.push_back(path_of(record.scope));
    }
    return result;
  };

  const Tensor before = outer.net.block1()(x).value();
  CHECK(paths().back() == "second");  // a block that is called by itself is a root
  const std::size_t known = paths().size();

  Tape inner;
  const Var y = outer(inner.watch(x));
  const Names all = paths();
  CHECK(Names(all.begin() + static_cast<std::ptrdiff_t>(known), all.end()) ==
        Names{"net.block1.first", "net.block1.second", "net.block2.first", "net.block2.second"});
  const auto part = outer.clone();
  const Var z = (*part)(inner.watch(x));
  CHECK(paths().back() == "net.block2.second");
  CHECK(current_scope().node == nullptr);
}

TEST_CASE("a child without a name is transparent", "[module]") {
  class Outer final : public Module {
   public:
    Var forward(const Var& x) override { return stage(x); }
    void members(Members& m) override { m.module("", stage); }
    Stage stage{std::make_shared<Layer>()};

   private:
    std::shared_ptr<Module> copy() const override { return std::make_shared<Outer>(*this); }
  } outer;
  CHECK(names_of(outer.named_parameters()) == Names{"first.weight", "scale", "second.weight", "second.bias"});
  const Var y = outer(Var(Tensor::full({7}, 0.5, DType::f32)));
  CHECK(path_of(ledger().alive(Tag::activation).back().scope) == "second");
}

TEST_CASE("modules with several inputs, and none", "[module]") {
  const Tensor a = Tensor::full({1}, 1, DType::f32);
  const Tensor b = Tensor::full({1}, 2, DType::f32);
  Swap swap;
  const Vars ys = swap(Vars{a, b});
  CHECK(ys[0].value().item() == 2);
  CHECK(ys[1].value().item() == 1);
  CHECK_THROWS_AS(swap(Var(a)), NotImplementedError);
  CHECK_THROWS_WITH(swap(Var(a)),
                    "[module] a module that overrides forward_all is called with a list, as module(Vars{x1, "
                    "x2}); one that takes one tensor must override forward");

  Layer layer;
  CHECK(roundings(layer(Vars{a}).front().value().item(), std::tanh(1.0), DType::f32) <= 8);
  CHECK_THROWS_AS(layer(Vars{a, b}), ArgumentError);
  CHECK_THROWS_WITH(layer(Vars{a, b}), "[module] this module takes 1 input, got 2");
}
