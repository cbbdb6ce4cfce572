#pragma once
#include <retrace/autograd/tape.h>
#include <retrace/autograd/var.h>
#include <retrace/core/scope.h>
#include <retrace/core/shape_rules.h>

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace retrace {

class Module;

/// Sees the parameters, buffers and children that a module lists in Module::members.
class Members {
 public:
  virtual ~Members() = default;

  /// Undefined parameters and buffers (a bias that is switched off) are passed over.
  void parameter(std::string_view name, Parameter& parameter) {
    if (parameter.defined()) on_parameter(name, parameter);
  }
  /// Running statistics and the like: no gradient, but saved with the weights.
  void buffer(std::string_view name, Tensor& buffer) {
    if (buffer.defined()) on_buffer(name, buffer);
  }
  /// A child held by value. A child named "" is transparent: its members appear as the parent's own.
  void module(std::string_view name, Module& child) { on_module(name, child, nullptr); }
  /// A child that may be shared; an empty pointer is passed over.
  template <class M>
  void module(std::string_view name, std::shared_ptr<M>& child) {
    if (child == nullptr) return;
    on_module(name, *child,
              [&child](std::shared_ptr<Module> other) { child = std::dynamic_pointer_cast<M>(other); });
  }

 protected:
  /// Puts another module into the parent's slot; empty for a child held by value.
  using Replace = std::function<void(std::shared_ptr<Module>)>;

 private:
  virtual void on_parameter(std::string_view name, Parameter& parameter) = 0;
  virtual void on_buffer(std::string_view name, Tensor& buffer) = 0;
  virtual void on_module(std::string_view name, Module& child, const Replace& replace) = 0;
};

/// Something under its path in a module, such as `layer1.0.conv1.weight`.
template <class T>
using Named = std::pair<std::string, T>;

/// A part of a network: it computes, and it owns parameters, buffers and other modules.
///
/// A concrete module overrides `forward` (or `forward_all` for several inputs or outputs), lists what it owns
/// in `members`, and copies itself in `copy`:
/// ```cpp
/// void members(Members& m) override { m.parameter("weight", weight_); m.module("norm", norm_); }
/// std::shared_ptr<Module> copy() const override { return std::make_shared<MyLayer>(*this); }
/// ```
class Module {
 public:
  Module() = default;
  /// For `copy`: parameters get bytes of their own, shared children stay shared until clone() replaces them.
  Module(const Module&) = default;
  /// As the copy constructor does.
  Module& operator=(const Module&) = default;
  virtual ~Module() = default;

  /// Runs the module inside the scope of its name: see ModuleScope.
  Var operator()(const Var& x);
  /// The same for several inputs or outputs.
  Vars operator()(const Vars& xs);

  /// The same with a residual that the result is to be added to or subtracted from. A module that can do so
  /// while it writes its result takes the residual, which is undefined afterwards; else the result is the
  /// module's own, and the caller adds.
  Var onto(Var& residual, Sign sign, const Var& x);

  /// What the module computes. By default throws NotImplementedError: who takes several inputs overrides
  /// forward_all.
  virtual Var forward(const Var& x);
  /// By default `forward`, and the residual stays.
  virtual Var forward_onto(Var& residual, Sign sign, const Var& x);
  /// For several inputs or outputs; by default `forward` of the only one.
  virtual Vars forward_all(const Vars& xs);

  /// Lists what the module owns: parameters, buffers and children, each under its name. By default, nothing.
  virtual void members(Members& members) { static_cast<void>(members); }

  /// Each parameter once, under its path (`layer1.0.conv1.weight`), in the order of `members`.
  std::vector<Named<Parameter*>> named_parameters();
  std::vector<Parameter*> parameters();  ///< those of named_parameters(), without their paths
  /// Running statistics and the like, each under its path.
  std::vector<Named<Tensor*>> named_buffers();
  /// This module under "", and all modules below it under their paths.
  std::vector<Named<Module*>> named_modules();
  /// The number of learned numbers.
  std::int64_t parameter_count();

  /// Switches this module and all below between training and evaluation (dropout, batch norm).
  void train(bool training = true);
  void eval() { train(false); }                ///< train(false)
  bool training() const { return training_; }  ///< whether dropout and batch norm do as in training

  /// Forgets the gradients of all parameters.
  void zero_grad();
  /// Converts parameters and floating-point buffers.
  void to(DType dtype);
  /// Moves parameters and floating-point buffers to a device and forgets the gradients. Counts stay on the
  /// CPU, which alone reads them. An optimizer keeps its states where the parameters were at its first step.
  void to(Device device);

  /// A copy that shares nothing with this module; modules shared inside it stay shared inside the copy.
  std::shared_ptr<Module> clone() const;

 private:
  virtual std::shared_ptr<Module> copy() const = 0;

  bool training_ = true;
};

/// While it exists, a module runs on this thread, inside the scope of its name. Module::operator() makes one;
/// a container that calls `forward`, `inverse` or the like of a child directly makes one first.
class ModuleScope {
 public:
  /// The name is the one that the module that runs now gives `module` in `members`: none for a root, and for
  /// a child named "". Does nothing if `module` is the one that runs.
  explicit ModuleScope(Module& module);
  /// The name is the caller's: for a module that may be listed under several names. "" enters no scope.
  ModuleScope(Module& module, std::string_view name);

 private:
  std::optional<Scope> scope_;
  std::optional<detail::Guard> running_;
};

/// A module behind the shared pointer that containers and couplings hold. Its options may stand in braces,
/// which std::make_shared does not take: `shared(Conv2d(2, 2, {.kernel = 3}))`.
template <std::derived_from<Module> M>
std::shared_ptr<M> shared(M module) {
  return std::make_shared<M>(std::move(module));
}

}  // namespace retrace
