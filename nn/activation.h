#pragma once
#include <retrace/autograd/ops/elementwise.h>
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
  /// negative_slope: dy/dx where x is not above 0. Throws ArgumentError unless it is finite.
  explicit LeakyReLU(double negative_slope = 0.01);
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

/// y = x / (1 + exp(-x)).
class SiLU final : public Module {
 public:
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<SiLU>(*this); }
};

/// How `GELU` computes.
struct GeluOptions {
  /// Exactly, or through tanh.
  GeluApproximation approximate = GeluApproximation::none;
};

/// y = x Phi(x), Phi being the normal distribution's cumulative function (see autograd/ops/elementwise.h).
class GELU final : public Module {
 public:
  /// Exact, unless the options say otherwise.
  explicit GELU(const GeluOptions& options = {}) : options_(options) {}
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<GELU>(*this); }
  GeluOptions options_;
};

/// y = 1 / (1 + exp(-x)).
class Sigmoid final : public Module {
 public:
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Sigmoid>(*this); }
};

}  // namespace retrace
