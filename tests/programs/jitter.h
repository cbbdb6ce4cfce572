#pragma once
// Noise that stands for rounding, magnified. How far it moves a result says how far rounding may move it.
#include <retrace/revnet/replay.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "own_modules.h"
#include "program.h"

namespace retrace::fuzz {

using InvertiblePtr = std::shared_ptr<InvertibleModule>;

/// Noise of a shape, uniform in [-size, size).
class JitterSource {
 public:
  JitterSource(double size, std::uint64_t seed) : size_(size), random_(seed) {}
  Tensor like(const Tensor& x) {
    double largest = 1;
    for (const double value : x.values<double>()) largest = std::max(largest, std::abs(value));
    Tensor noise(x.shape(), DType::f64, Tag::data);
    for (double& value : noise.mutable_values<double>()) value = largest * random_.uniform(-size_, size_);
    return noise;
  }

 private:
  double size_;
  Random random_;
};

/// A stored module whose inputs get noise where the program would rebuild them. With `keep_masks` its masks
/// are those of a run without noise.
class Jitter final : public InvertibleModule {
 public:
  Jitter(ModulePtr fn, bool keep_masks, JitterSource source)
      : fn_(std::move(fn)), keep_masks_(keep_masks), source_(source) {}
  Var forward(const Var& x) override { return forward_all({x}).front(); }
  Var inverse(const Var& y) override { return inverse_all({y}).front(); }
  Vars forward_all(const Vars& x) override {
    return run(x, [this](const Vars& noisy) { return fn_->forward_all(noisy); });
  }
  Vars inverse_all(const Vars& y) override {
    return run(
        y, [this](const Vars& noisy) { return dynamic_cast<InvertibleModule&>(*fn_).inverse_all(noisy); });
  }
  void members(Members& m) override { m.module("", fn_); }

 private:
  ModulePtr copy() const override { return std::make_shared<Jitter>(*this); }

  template <class Function>
  Vars run(const Vars& x, const Function& f) {
    const ModuleScope scope(*fn_);
    if (without_noise_) return f(x);
    if (!keep_masks_) return f(with_noise(x));
    ReplayState state(/*keep_decisions=*/true);
    {
      const NoTape no_tape;
      without_noise_ = true;
      state.forward("jitter", *fn_, [&] { return values_of(f(constants(values_of(x)))); });
      without_noise_ = false;
    }
    Vars y;
    state.replay("jitter", *fn_, [&] {
      y = f(with_noise(x));
      return Tensors();
    });
    return y;
  }
  Vars with_noise(const Vars& xs) {
    Vars result;
    for (const Var& x : xs) result.push_back(x + Var(source_.like(x.value())));
    return result;
  }

  static inline bool without_noise_ = false;  // while masks are made

  ModulePtr fn_;
  bool keep_masks_;
  JitterSource source_;
};

/// An invertible module that, in backward, rebuilds its inputs from outputs with noise.
class JitteredRebuild final : public InvertibleModule {
  template <class Function, class... Values>
  auto inside(Function function, Values&&... values) {
    const ModuleScope scope(*fn_);
    return ((*fn_).*function)(std::forward<Values>(values)...);
  }

 public:
  JitteredRebuild(InvertiblePtr fn, JitterSource source) : fn_(std::move(fn)), source_(source) {}
  Vars forward_all(const Vars& x) override { return inside(&InvertibleModule::forward_all, x); }
  Vars inverse_all(const Vars& y) override { return inside(&InvertibleModule::inverse_all, y); }
  Var forward(const Var& x) override { return inside(&InvertibleModule::forward, x); }
  Var inverse(const Var& y) override { return inside(&InvertibleModule::inverse, y); }
  Tensors advance(Tensors x) override { return inside(&InvertibleModule::advance, with_noise(std::move(x))); }
  Tensors retreat(Tensors y) override { return inside(&InvertibleModule::retreat, with_noise(std::move(y))); }
  Rewound rewind(Tensors y, Tensors dy) override {
    return inside(&InvertibleModule::rewind, with_noise(std::move(y)), std::move(dy));
  }
  Rewound rewind_inverse(Tensors x, Tensors dx) override {
    return inside(&InvertibleModule::rewind_inverse, with_noise(std::move(x)), std::move(dx));
  }
  void members(Members& m) override { m.module("", fn_); }

 private:
  ModulePtr copy() const override { return std::make_shared<JitteredRebuild>(*this); }

  Tensors with_noise(Tensors xs) {
    if (!Recomputing::active()) return xs;
    Tensors result;
    for (const Tensor& x : xs) result.push_back((Var(x) + Var(source_.like(x))).value());
    return result;
  }

  InvertiblePtr fn_;
  JitterSource source_;
};

}  // namespace retrace::fuzz
