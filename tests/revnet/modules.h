#pragma once
// Small modules for the tests of revnet/.
#include <retrace/autograd/ops.h>
#include <retrace/core/kernels.h>
#include <retrace/core/random.h>
#include <retrace/nn/dropout.h>
#include <retrace/nn/linear.h>
#include <retrace/revnet/adapters.h>
#include <retrace/revnet/coupling.h>
#include <retrace/revnet/sequence.h>
#include <retrace/revnet/wrapper.h>

#include <memory>
#include <string>

#include "../support/rounding.h"

namespace retrace::test {

/// x -> tanh(linear(x)) with optional dropout, in f64.
class Layer final : public Module {
 public:
  Layer(std::int64_t in, std::int64_t out, double dropout = 0) : linear_(in, out), dropout_(dropout) {
    to(DType::f64);
  }
  Var forward(const Var& x) override {
    return dropout_ > 0 ? dropout(tanh(linear_(x)), dropout_, training()) : tanh(linear_(x));
  }
  void members(Members& m) override { m.module("linear", linear_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Layer>(*this); }
  Linear linear_;
  double dropout_;
};

/// y = factor x with a learned factor: invertible, and not a coupling, so it uses the default rewind.
class Scaling final : public InvertibleModule {
 public:
  explicit Scaling(double factor) : factor_(Tensor::full({1}, factor, DType::f64)) {}
  Var forward(const Var& x) override { return x * Var(factor_); }
  Var inverse(const Var& y) override { return y / Var(factor_); }
  void members(Members& m) override { m.parameter("factor", factor_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Scaling>(*this); }
  Parameter factor_;
};

/// y = x, the same bytes.
class Identity final : public InvertibleModule {
 public:
  Var forward(const Var& x) override { return x; }
  Var inverse(const Var& y) override { return y; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Identity>(*this); }
};

enum class Kind { additive, affine_naive, affine_sigmoid, scaling };
inline constexpr Kind kKinds[] = {Kind::additive, Kind::affine_naive, Kind::affine_sigmoid, Kind::scaling};

/// An invertible module for x: [N, 4].
inline std::shared_ptr<InvertibleModule> make_invertible(Kind kind, double dropout = 0) {
  if (kind == Kind::scaling) return std::make_shared<Scaling>(1.5);
  const std::int64_t out = kind == Kind::affine_sigmoid ? 4 : 2;
  auto F = std::make_shared<Layer>(2, out, dropout);
  auto G = std::make_shared<Layer>(2, out, dropout);
  if (kind == Kind::additive) return std::make_shared<AdditiveCoupling>(F, G);
  return std::make_shared<AffineCoupling>(
      F, G, kind == Kind::affine_naive ? adapter<AffineAdapterNaive>() : adapter<AffineAdapterSigmoid>());
}

inline Tensor uniform(const Shape& shape, std::uint64_t seed, DType dtype = DType::f64) {
  Tensor x(shape, dtype);
  kernel::uniform({.seed = seed, .stream = 0}, 0, 1, x);
  return x;
}

/// What a backward pass through rebuilt inputs may change, in roundings of the largest number: each half step
/// rounds twice what it rebuilds, each layer has some ten operations, and a chain here has up to five of
/// them. A wrong mask, scale or random number changes 1e13.
inline constexpr double kRebuilt = 100;

/// The gradients of all parameters, by name; undefined where there is none.
inline std::vector<Named<Tensor>> gradients(Module& module) {
  std::vector<Named<Tensor>> result;
  for (const auto& [name, parameter] : module.named_parameters())
    result.emplace_back(name, parameter->grad());
  return result;
}

}  // namespace retrace::test
