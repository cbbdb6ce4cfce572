#pragma once
// The exercises of chapter 7: write what throws. couplings_test.cpp says how far you are.
#include <retrace/retrace.h>

#include <memory>
#include <utility>

using namespace retrace;

// [additive]
/// y1 = x1 + F(x2), y2 = x2 + G(y1). Takes the two streams: forward_all({x1, x2}) is {y1, y2}.
class Additive final : public InvertibleModule {
 public:
  Additive(std::shared_ptr<Module> Fm, std::shared_ptr<Module> Gm) : F_(std::move(Fm)), G_(std::move(Gm)) {}

  Vars forward_all(const Vars& x) override {
    const Var y1 = x[0] + (*F_)(x[1]);
    const Var y2 = x[1] + (*G_)(y1);
    return {y1, y2};
  }

  /// Exercise 1: {x1, x2} from {y1, y2}.
  Vars inverse_all(const Vars& y) override {
    static_cast<void>(y);
    throw NotImplementedError("[exercise 1] inverse_all must be written, got nothing");
  }

  /// Exercise 2: {x, dx} from y and dy, in which F and G run once each.
  Rewound rewind(Tensors y, Tensors dy) override {
    return InvertibleModule::rewind(std::move(y), std::move(dy));  // right, but F and G run twice each
  }

  void members(Members& m) override {
    m.module("F", F_);
    m.module("G", G_);
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Additive>(*this); }

  std::shared_ptr<Module> F_;
  std::shared_ptr<Module> G_;
};
// [/additive]

// [momentum]
/// v' = gamma v + (1 - gamma) F(x), x' = x + v'. Takes a position and a velocity: forward_all({x, v}) is
/// {x', v'}. Sander, Ablin, Blondel, Peyre: "Momentum residual neural networks", ICML 2021.
class Momentum final : public InvertibleModule {
 public:
  Momentum(std::shared_ptr<Module> Fm, double gamma) : F_(std::move(Fm)), gamma_(gamma) {}

  /// Exercise 3: {x', v'} from {x, v} ...
  Vars forward_all(const Vars& x) override {
    static_cast<void>(x);
    throw NotImplementedError("[exercise 3] forward_all must be written, got nothing");
  }

  /// ... and back.
  Vars inverse_all(const Vars& y) override {
    static_cast<void>(y);
    throw NotImplementedError("[exercise 3] inverse_all must be written, got nothing");
  }

  double gamma() const { return gamma_; }
  void members(Members& m) override { m.module("F", F_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Momentum>(*this); }

  std::shared_ptr<Module> F_;
  double gamma_;
};
// [/momentum]
