#pragma once
#include <retrace/nn/module.h>

namespace retrace {

/// y = max(x, 0).
class ReLU final : public Module {
 public:
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<ReLU>(*this); }
};

/// y = x for x > 0, else negative_slope x.
class LeakyReLU final : public Module {
 public:
  explicit LeakyReLU(double negative_slope = 0.01) : negative_slope_(negative_slope) {}
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<LeakyReLU>(*this); }
  double negative_slope_;
};

/// y = tanh(x).
class Tanh final : public Module {
 public:
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Tanh>(*this); }
};

/// y = 1 / (1 + exp(-x)).
class Sigmoid final : public Module {
 public:
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Sigmoid>(*this); }
};

}  // namespace retrace
