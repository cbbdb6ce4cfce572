#pragma once
// Solutions of the exercises of chapter 7.
#include <retrace/retrace.h>

#include <memory>
#include <utility>

using namespace retrace;

/// y1 = x1 + F(x2), y2 = x2 + G(y1). Takes the two streams: forward_all({x1, x2}) is {y1, y2}.
class Additive final : public InvertibleModule {
 public:
  Additive(std::shared_ptr<Module> Fm, std::shared_ptr<Module> Gm) : F_(std::move(Fm)), G_(std::move(Gm)) {}

  Vars forward_all(const Vars& x) override {
    const Var y1 = x[0] + (*F_)(x[1]);
    const Var y2 = x[1] + (*G_)(y1);
    return {y1, y2};
  }

  // [inverse]
  Vars inverse_all(const Vars& y) override {
    const Var x2 = y[1] - (*G_)(y[0]);
    const Var x1 = y[0] - (*F_)(x2);
    return {x1, x2};
  }
  // [/inverse]

  // [rewind]
  Rewound rewind(Tensors y, Tensors dy) override {
    const ModuleScope scope(*this);
    for (std::size_t i = 0; i < 2; ++i)
      if (!dy[i].defined()) dy[i] = Tensor::zeros(y[i].shape(), y[i].dtype(), Tag::gradient);
    undo(*G_, y[0], y[1], dy[0], dy[1]);  // x2 = y2 - G(y1), dx1 = dy1 + (dG/dy1)^T dy2
    undo(*F_, y[1], y[0], dy[1], dy[0]);  // x1 = y1 - F(x2), dx2 = dy2 + (dF/dx2)^T dx1
    return {std::move(y), std::move(dy)};
  }
  // [/rewind]

  void members(Members& m) override {
    m.module("F", F_);
    m.module("G", G_);
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Additive>(*this); }

  // [undo]
  static Tensor sum(const Tensor& a, const Tensor& b, double sign) {
    const NoTape no_tape;
    return (Var(a) + sign * Var(b)).value();
  }

  /// target was changed by m(source): undoes that, and adds to d_source what flows through m. The evaluation
  /// that rebuilds is the one that is differentiated.
  static void undo(Module& m, const Tensor& source, Tensor& target, Tensor& d_source,
                   const Tensor& d_target) {
    Tape tape;
    const Var v = tape.watch(source);
    const Var r = m(v);
    target = sum(target, r.value(), -1);
    tape.backward(r, d_target);
    d_source = sum(d_source, tape.grad(v), 1);
  }
  // [/undo]

  std::shared_ptr<Module> F_;
  std::shared_ptr<Module> G_;
};

/// v' = gamma v + (1 - gamma) F(x), x' = x + v'. Takes a position and a velocity: forward_all({x, v}) is
/// {x', v'}. Sander, Ablin, Blondel, Peyre: "Momentum residual neural networks", ICML 2021.
class Momentum final : public InvertibleModule {
 public:
  Momentum(std::shared_ptr<Module> Fm, double gamma) : F_(std::move(Fm)), gamma_(gamma) {}

  // [momentum]
  Vars forward_all(const Vars& x) override {
    const Var v = gamma_ * x[1] + (1 - gamma_) * (*F_)(x[0]);
    return {x[0] + v, v};
  }

  Vars inverse_all(const Vars& y) override {
    const Var x = y[0] - y[1];
    return {x, (y[1] - (1 - gamma_) * (*F_)(x)) / gamma_};
  }
  // [/momentum]

  double gamma() const { return gamma_; }
  void members(Members& m) override { m.module("F", F_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Momentum>(*this); }

  std::shared_ptr<Module> F_;
  double gamma_;
};
