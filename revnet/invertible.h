#pragma once
#include <retrace/nn/module.h>

#include <memory>
#include <utility>

namespace retrace {

/// What a rewind brings back.
struct Rewound {
  Tensors x;   ///< the inputs, equal up to rounding
  Tensors dx;  ///< their gradients; undefined where none arrives
};

/// A module that can compute its inputs from its outputs: x = inverse(forward(x)).
///
/// A concrete one overrides `forward` and `inverse` (or `forward_all` and `inverse_all` for several tensors).
/// The others have defaults that serve any such module; overriding them saves time or memory, not meaning.
class InvertibleModule : public Module {
 public:
  /// The input that has this output. By default throws NotImplementedError: who takes several inputs
  /// overrides inverse_all.
  virtual Var inverse(const Var& y);
  /// The same for several inputs or outputs; by default, `inverse` of the only one.
  virtual Vars inverse_all(const Vars& ys);

  /// forward without a tape. Tensors that nobody else holds may be overwritten: move them in.
  virtual Tensors advance(Tensors x);
  /// inverse without a tape, likewise.
  virtual Tensors retreat(Tensors y);

  /// From the outputs and their gradients to the inputs and theirs; gradients of parameters are added to
  /// Parameter::grad. Default: inverse, then forward again on a local tape, then backward on that tape, so
  /// that everything inside runs three times in all (a coupling needs two), and all activations inside are
  /// held at once. So a container of invertible modules should be made of InvertibleSequence, OnChannels and
  /// Parallel, which rewind through their children, or override this function by its children's; or its
  /// forward should run each child in an InvertibleModuleWrapper. Tensors that nobody else holds may be
  /// overwritten: move them in. Undefined dy: no gradient arrived.
  virtual Rewound rewind(Tensors y, Tensors dy);
  /// The same for the other direction: from x = inverse(y) and dx to y and dy.
  virtual Rewound rewind_inverse(Tensors x, Tensors dx);
};

/// The same module with its directions swapped.
class Inverse final : public InvertibleModule {
  /// Calls fn's function inside the scopes of this module and of fn.
  template <class Function, class... Values>
  auto within(Function function, Values&&... values) {
    const ModuleScope scope(*this);
    const ModuleScope inner(*fn_);
    return ((*fn_).*function)(std::forward<Values>(values)...);
  }

 public:
  /// fn: what is swapped; shared, not copied. Throws ArgumentError if it is null.
  explicit Inverse(std::shared_ptr<InvertibleModule> fn);

  Vars forward_all(const Vars& ys) override { return within(&InvertibleModule::inverse_all, ys); }
  Var forward(const Var& y) override { return within(&InvertibleModule::inverse, y); }
  Vars inverse_all(const Vars& xs) override { return within(&InvertibleModule::forward_all, xs); }
  Var inverse(const Var& x) override { return within(&InvertibleModule::forward, x); }
  Tensors advance(Tensors y) override { return within(&InvertibleModule::retreat, std::move(y)); }
  Tensors retreat(Tensors x) override { return within(&InvertibleModule::advance, std::move(x)); }
  Rewound rewind(Tensors x, Tensors dx) override {
    return within(&InvertibleModule::rewind_inverse, std::move(x), std::move(dx));
  }
  Rewound rewind_inverse(Tensors y, Tensors dy) override {
    return within(&InvertibleModule::rewind, std::move(y), std::move(dy));
  }
  void members(Members& m) override { m.module("", fn_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Inverse>(*this); }

  std::shared_ptr<InvertibleModule> fn_;
};

}  // namespace retrace
