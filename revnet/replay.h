#pragma once
#include <retrace/autograd/autocast.h>
#include <retrace/core/random.h>
#include <retrace/core/scope.h>
#include <retrace/nn/module.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace retrace {

/// What a replay of a module must find as its forward left it: the scope (with its random numbers), the type
/// of Autocast, the contents of parameters, of buffers that are read (those of modules in evaluation), and
/// who was training.
class ReplayState {
 public:
  /// Notes the state now: the module is about to run.
  explicit ReplayState(Module& module);

  /// Throws GradientError, naming what changed, unless the module is as it was.
  void check(std::string_view op, Module& module) const;
  const ScopeSnapshot& scope() const { return scope_; }  ///< where the forward ran
  /// The type of the forward's scope of Autocast, if any.
  std::optional<DType> autocast() const { return autocast_; }
  /// The random numbers of the forward, which notes them while it runs.
  DrawLog& draws() { return draws_; }

 private:
  ScopeSnapshot scope_;
  std::optional<DType> autocast_;
  DrawLog draws_;
  std::vector<std::uint64_t> noted_;
};

/// While it exists, this thread replays a module: modules leave their buffers alone, and scope, random
/// numbers and Autocast are as in the forward.
class Replay {
 public:
  /// With the forward's random numbers, or with others.
  Replay(ReplayState& state, Module& module, bool same_random_numbers = true);

 private:
  Recomputing recomputing_;
  Reenter scope_;
  ModuleScope module_;
  Autocast autocast_;
  std::optional<detail::Guard> draws_;
};

/// The constants, of which the wanted ones are watched on a new local tape, go through `f`; then backward
/// from dy. Returns the gradients of x, undefined where none is wanted or arrives; gradients of parameters
/// are added to Parameter::grad.
Tensors differentiate(const std::function<Vars(const Vars&)>& f, const Tensors& x, const Tensors& dy,
                      const Wants& wants);

/// The current tape will ask for a gradient of x or of a parameter of the module.
bool wants_backward(Module& module, const Vars& x);

/// The tensors of variables, and constants of tensors.
Tensors values_of(const Vars& vars);
/// One constant a tensor.
Vars constants(const Tensors& tensors);

}  // namespace retrace
