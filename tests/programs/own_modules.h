#pragma once
// Modules as a user writes them: containers that call a child in unusual ways, and invertible ones that have
// nothing but forward and inverse.
#include <retrace/autograd/ops.h>
#include <retrace/core/random.h>
#include <retrace/revnet/checkpoint.h>
#include <retrace/revnet/invertible.h>

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "bomb.h"

namespace retrace::fuzz {

using ModulePtr = std::shared_ptr<Module>;
using Children = std::vector<ModulePtr>;

/// A module of children named "0", "1", ... and a function of its input and itself.
class Container : public Module {
 public:
  explicit Container(Children children) : children_(std::move(children)) {}
  void members(Members& m) override {
    for (std::size_t i = 0; i < children_.size(); ++i) m.module(std::to_string(i), children_[i]);
  }

 protected:
  Module& child(std::size_t i) { return *children_[i]; }
  const ModulePtr& shared_child(std::size_t i) { return children_[i]; }

 private:
  Children children_;
};

/// m(m(x)).
class Twice final : public Container {
 public:
  using Container::Container;
  Var forward(const Var& x) override { return child(0)(child(0)(x)); }

 private:
  ModulePtr copy() const override { return std::make_shared<Twice>(*this); }
};

/// m(x + 1/16): m gets a tensor that nothing else reads, and may release it.
class Fresh final : public Container {
 public:
  using Container::Container;
  Var forward(const Var& x) override { return child(0)(x + 0.0625); }

 private:
  ModulePtr copy() const override { return std::make_shared<Fresh>(*this); }
};

/// a(x) + b(x).
class Sum final : public Container {
 public:
  using Container::Container;
  Var forward(const Var& x) override { return child(0)(x) + child(1)(x); }

 private:
  ModulePtr copy() const override { return std::make_shared<Sum>(*this); }
};

/// tanh(m(x)): for scales that are exponentials.
class Bounded final : public Container {
 public:
  using Container::Container;
  Var forward(const Var& x) override { return tanh(child(0)(x)); }

 private:
  ModulePtr copy() const override { return std::make_shared<Bounded>(*this); }
};

/// a(x) and b(x), one after the other in dimension 1.
class Doubled final : public Container {
 public:
  using Container::Container;
  Var forward(const Var& x) override { return concatenate({child(0)(x), child(1)(x)}, 1); }

 private:
  ModulePtr copy() const override { return std::make_shared<Doubled>(*this); }
};

/// (s, t) with s = 1.5 + tanh(a(x)) / 2, t = b(x).
class ScaleAndShift final : public Container {
 public:
  using Container::Container;
  Vars forward_all(const Vars& x) override {
    return {tanh(child(0)(x.front())) * 0.5 + 1.5, child(1)(x.front())};
  }

 private:
  ModulePtr copy() const override { return std::make_shared<ScaleAndShift>(*this); }
};

/// checkpoint(m, x), or m alone.
class Checkpointed final : public Container {
 public:
  Checkpointed(Children children, bool stored) : Container(std::move(children)), stored_(stored) {}
  Var forward(const Var& x) override {
    if (!stored_) return checkpoint(shared_child(0), x);
    const ModuleScope scope(child(0));
    return child(0).forward_all({x}).front();
  }

 private:
  ModulePtr copy() const override { return std::make_shared<Checkpointed>(*this); }
  bool stored_;
};

/// x + noise that it draws itself, in training.
class Noise final : public Module {
 public:
  Var forward(const Var& x) override {
    if (!training()) return x;
    const RandomStream stream = next_stream();
    Tensor noise(x.shape(), DType::f64, Tag::activation);
    std::uint64_t i = 0;
    for (double& value : noise.mutable_values<double>()) value = 0.2 * uniform_at(stream, i++);
    return x + Var(noise);
  }

 private:
  ModulePtr copy() const override { return std::make_shared<Noise>(*this); }
};

/// A bomb.
class Bomb final : public Module {
 public:
  explicit Bomb(Failure failure) : failure_(failure) {}
  Var forward(const Var& x) override { return bomb(x, failure_); }

 private:
  ModulePtr copy() const override { return std::make_shared<Bomb>(*this); }
  Failure failure_;
};

/// y = e^a x.
class Scale final : public InvertibleModule {
 public:
  Scale() : a_(Tensor::full({1}, 0.25, DType::f64)) {}
  Var forward(const Var& x) override { return x * exp(Var(a_)); }
  Var inverse(const Var& y) override { return y * exp(-Var(a_)); }
  void members(Members& m) override { m.parameter("a", a_); }

 private:
  ModulePtr copy() const override { return std::make_shared<Scale>(*this); }
  Parameter a_;
};

/// The halves of dimension 1, exchanged.
class Flip final : public InvertibleModule {
 public:
  Var forward(const Var& x) override {
    const Vars halves = split(x, 2, 1);
    return concatenate({halves[1], halves[0]}, 1);
  }
  Var inverse(const Var& y) override { return forward(y); }

 private:
  ModulePtr copy() const override { return std::make_shared<Flip>(*this); }
};

/// y = (x - shift) / scale; the first training batch sets both, to its mean and deviation.
class ActNorm final : public InvertibleModule {
 public:
  ActNorm()
      : shift_(Tensor::full({1}, 0, DType::f64)),
        log_scale_(Tensor::full({1}, 0, DType::f64)),
        ready_(Tensor::full({}, 0, DType::i64, Tag::buffer)) {}
  Var forward(const Var& x) override {
    if (training() && !Recomputing::active() && ready_.item() == 0) prepare(x.value());
    return (x - Var(shift_)) * exp(-Var(log_scale_));
  }
  Var inverse(const Var& y) override { return y * exp(Var(log_scale_)) + Var(shift_); }
  void members(Members& m) override {
    m.parameter("shift", shift_);
    m.parameter("log_scale", log_scale_);
    m.buffer("ready", ready_);
  }

 private:
  ModulePtr copy() const override { return std::make_shared<ActNorm>(*this); }
  void prepare(const Tensor& x) {
    double mean = 0, square = 0;
    for (const double value : x.values<double>()) mean += value, square += value * value;
    const auto n = static_cast<double>(x.numel());
    mean /= n;
    *shift_.value().mutable_data<double>() = mean;
    *log_scale_.value().mutable_data<double>() = 0.5 * std::log(square / n - mean * mean + 0.01);
    *ready_.mutable_data<std::int64_t>() = 1;
  }

  Parameter shift_;
  Parameter log_scale_;
  Tensor ready_;
};

/// y = x w^T; in training, forward first scales w down to a norm of at most 1.
class MaxNorm final : public Module {
 public:
  explicit MaxNorm(std::int64_t features) : w_(Tensor::zeros({features, features}, DType::f64)) {}
  Var forward(const Var& x) override {
    if (training() && !Recomputing::active()) limit();
    return linear(x, Var(w_));
  }
  void members(Members& m) override { m.parameter("w", w_); }

 private:
  ModulePtr copy() const override { return std::make_shared<MaxNorm>(*this); }
  void limit() {
    double square = 0;
    for (const double w : std::as_const(w_).value().values<double>()) square += w * w;
    if (square <= 1 + 1e-9) return;
    for (double& w : w_.value().mutable_values<double>()) w /= std::sqrt(square);
  }

  Parameter w_;
};

}  // namespace retrace::fuzz
