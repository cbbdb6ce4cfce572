#pragma once
#include <retrace/autograd/autocast.h>
#include <retrace/autograd/decisions.h>
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
/// of Autocast, the contents of parameters, of buffers that are read (those of modules in evaluation), who
/// was training, and, if they are kept, the decisions.
class ReplayState {
 public:
  /// Notes the scope and Autocast: the module is about to run. With `keep_decisions`, replays decide as
  /// forward did.
  explicit ReplayState(bool keep_decisions = false);

  /// Runs `run`, which is the module's forward without a tape, and notes the state in which it leaves the
  /// module: what forward itself writes is what a replay must read. Throws GradientError, naming it, if
  /// forward wrote a parameter after an operation had read it.
  Tensors forward(std::string_view op, Module& module, const std::function<Tensors()>& run);
  /// Runs `run` as a replay: modules leave their buffers alone, and scope, random numbers (unless others are
  /// asked for), Autocast and decisions are as in forward. Throws GradientError, naming what differs, unless
  /// the module is as forward left it, and also if the replay writes a parameter or a buffer.
  Tensors replay(std::string_view op, Module& module, const std::function<Tensors()>& run,
                 bool same_random_numbers = true);

  const ScopeSnapshot& scope() const { return scope_; }  ///< where the forward ran
  /// The decisions that are kept.
  std::vector<SavedTensor> decisions() const;

 private:
  void check_unchanged(std::string_view op, Module& module) const;
  Tensors run_again(Module& module, const std::function<Tensors()>& run, bool same_random_numbers);

  ScopeSnapshot scope_;
  std::optional<DType> autocast_;
  DrawLog draws_;
  std::optional<DecisionLog> decisions_;
  std::vector<std::uint64_t> noted_;
  std::vector<const Storage*> overwritten_;  // buffers in training that forward read, then wrote
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
