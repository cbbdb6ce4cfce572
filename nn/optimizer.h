#pragma once
#include <retrace/autograd/parameter.h>
#include <retrace/core/kernels.h>
#include <retrace/core/optimizer_options.h>
#include <retrace/nn/module.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace retrace {

/// Changes parameters along their gradients. It shares their values and gradients, so a module may end before
/// it; `Module::to` comes before it.
///
/// A concrete one names the state that it keeps for each parameter and computes the step of all parameters;
/// tensors of state (Tag::optimizer) are made at the first step in which the parameter has a gradient, and
/// begin with zeros.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One step for every parameter that has a gradient. Throws GradientError after a backward that failed, and
  /// DTypeError or ShapeError for a parameter that was converted since; then nothing has changed.
  void step();
  /// Forgets the gradients.
  void zero_grad();

  double lr() const { return lr_; }  ///< the learning rate
  /// Throws ArgumentError for a negative one.
  void set_lr(double lr);
  /// Its own parameters, which share values and gradients with those it was made with.
  const std::vector<Parameter*>& parameters() const { return parameters_; }

  /// What training needs to go on as if it had not stopped: `step` (i64, the steps of each parameter), then
  /// each tensor of state as `exp_avg.3`, by the parameter's position. Shares bytes with this optimizer.
  std::vector<Named<Tensor>> state() const;
  /// Takes over copies of what `state()` gave. Throws ArgumentError for names that do not fit, ShapeError and
  /// DTypeError; then nothing has changed.
  void load_state(const std::vector<Named<Tensor>>& state);

 protected:
  /// `name` stands in errors and in the ledger: a string literal. Throws ArgumentError when there is no
  /// parameter, one is null, or one is given twice.
  Optimizer(std::string_view name, std::vector<Parameter*> parameters, double lr,
            std::vector<std::string> state_names);

 private:
  /// The step of those parameters that have a gradient, at least one. Their states are in the order of the
  /// names.
  virtual void update(kernel::ParameterSteps& steps) = 0;

  void check(std::size_t index) const;
  void allocate_states();

  std::string_view name_;
  std::deque<Parameter> shared_;
  std::vector<Parameter*> parameters_;  // to the elements of shared_
  double lr_;
  std::vector<std::string> state_names_;
  std::vector<std::int64_t> steps_;
  std::vector<Tensors> states_;  // of each parameter; empty before its first step
};

/// d = grad + weight_decay p;  b = momentum b + (1 - dampening) d, in the first step b = d;
/// p -= lr b, or with Nesterov's momentum p -= lr (d + momentum b).
class SGD final : public Optimizer {
 public:
  /// Throws ArgumentError for options out of range.
  explicit SGD(std::vector<Parameter*> parameters, const SgdOptions& options = {});

 private:
  void update(kernel::ParameterSteps& steps) override;
  SgdOptions options_;
};

/// d = grad + weight_decay p;  m = beta1 m + (1 - beta1) d;  v = beta2 v + (1 - beta2) d^2;
/// p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) in the parameter's t-th step. With decoupled
/// weight decay, d = grad and p *= 1 - lr weight_decay comes first.
class Adam : public Optimizer {
 public:
  /// Throws ArgumentError for options out of range.
  explicit Adam(std::vector<Parameter*> parameters, const AdamOptions& options = {})
      : Adam("adam", std::move(parameters), options) {}

 protected:
  /// For a kind of Adam with a name of its own, which stands in errors.
  Adam(std::string_view name, std::vector<Parameter*> parameters, const AdamOptions& options);

 private:
  void update(kernel::ParameterSteps& steps) override;
  AdamOptions options_;
};

/// Adam with decoupled weight decay. Its state is Adam's.
class AdamW final : public Adam {
 public:
  /// Throws ArgumentError for options out of range.
  explicit AdamW(std::vector<Parameter*> parameters, const AdamWOptions& options = {});
};

/// d = grad + weight_decay p;  s = alpha s + (1 - alpha) d^2;  c = d / (sqrt(s) + eps), where a centered one
/// first takes the square of a = alpha a + (1 - alpha) d from s;  b = momentum b + c;  p -= lr b.
class RMSprop final : public Optimizer {
 public:
  /// Throws ArgumentError for options out of range.
  explicit RMSprop(std::vector<Parameter*> parameters, const RmspropOptions& options = {});

 private:
  void update(kernel::ParameterSteps& steps) override;
  RmspropOptions options_;
};

}  // namespace retrace
