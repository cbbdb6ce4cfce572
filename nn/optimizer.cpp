#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/core/not_null.h>
#include <retrace/core/scope.h>
#include <retrace/nn/optimizer.h>
#include <retrace/nn/option_ranges.h>

#include <map>
#include <set>

namespace retrace {

namespace {

constexpr std::string_view kStepName = "step";
constexpr std::int64_t kMaxSteps = std::int64_t{1} << 53;  // Adam's formula takes them as a double

/// Throws unless a tensor of state has its parameter's shape and element type.
void check_fits(std::string_view op, const std::string& name, const Tensor& state, const Tensor& parameter) {
  if (!(state.shape() == parameter.shape()))
    fail<ShapeError>(op, "the state {} must have its parameter's shape {}, got {}", name, parameter.shape(),
                     state.shape());
  if (state.dtype() != parameter.dtype())
    fail<DTypeError>(op, "the state {} must have its parameter's element type {}, got {}", name,
                     parameter.dtype(), state.dtype());
}

std::string name_at(const std::string& name, std::size_t index) { return fmt::format("{}.{}", name, index); }

}  // namespace

Optimizer::Optimizer(std::string_view name, std::vector<Parameter*> parameters, double lr,
                     std::vector<std::string> state_names)
    : name_(name),
      lr_(lr),
      state_names_(std::move(state_names)),
      steps_(parameters.size()),
      states_(parameters.size()) {
  kLearningRateRange.check(name_, "lr", lr_);
  parameters = none_null(name_, "parameter", std::move(parameters));
  if (parameters.empty()) fail<ArgumentError>(name_, "there must be at least one parameter, got none");
  if (std::set<Parameter*>(parameters.begin(), parameters.end()).size() != parameters.size())
    fail<ArgumentError>(name_, "each parameter must be given once, got one twice");
  for (const Parameter* parameter : parameters)
    parameters_.push_back(&shared_.emplace_back(parameter->state()));
}

void Optimizer::set_lr(double lr) {
  kLearningRateRange.check(name_, "lr", lr);
  lr_ = lr;
}

void Optimizer::zero_grad() {
  for (Parameter* parameter : parameters_) parameter->zero_grad();
}

void Optimizer::check(std::size_t index) const {
  const Parameter& parameter = *parameters_[index];
  if (!parameter.grad().defined()) return;
  for (std::size_t s = 0; s < states_[index].size(); ++s)
    check_fits(name_, name_at(state_names_[s], index), states_[index][s], parameter.value());
}

void Optimizer::step() {
  const OpName op(name_);
  for (std::size_t i = 0; i < parameters_.size(); ++i) check(i);
  allocate_states();
  kernel::ParameterSteps all;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& parameter = *parameters_[i];
    if (parameter.has_grad())
      all.steps.push_back({parameter.grad(), states_[i], ++steps_[i], parameter.value()});
  }
  if (!all.steps.empty()) update(all);
}

void Optimizer::allocate_states() {
  std::vector<std::pair<std::size_t, Tensors>> made;  // taken over when all allocations have succeeded
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = *parameters_[i];
    if (!parameter.has_grad() || steps_[i] > 0) continue;
    Tensors& states = made.emplace_back(i, Tensors()).second;
    for (std::size_t s = 0; s < state_names_.size(); ++s)
      states.push_back(Tensor::zeros(parameter.shape(), parameter.value().dtype(), Tag::optimizer,
                                     parameter.value().device()));
  }
  for (auto& [index, states] : made) states_[index] = std::move(states);
}

std::vector<Named<Tensor>> Optimizer::state() const {
  std::vector<Named<Tensor>> result;
  const Shape shape{static_cast<std::int64_t>(steps_.size())};
  result.emplace_back(kStepName, Tensor::from(std::span(steps_), shape, Tag::optimizer));
  for (std::size_t s = 0; s < state_names_.size(); ++s)
    for (std::size_t i = 0; i < states_.size(); ++i)
      if (!states_[i].empty()) result.emplace_back(name_at(state_names_[s], i), states_[i][s]);
  return result;
}

void Optimizer::load_state(const std::vector<Named<Tensor>>& state) {
  std::map<std::string_view, const Tensor*> given;
  for (const auto& [name, tensor] : state)
    if (!given.emplace(name, &tensor).second)
      fail<ArgumentError>(name_, "the state must have each name once, got '{}' twice", name);
  const auto take = [&](const std::string& name) -> const Tensor& {
    const auto found = given.find(name);
    if (found == given.end()) fail<ArgumentError>(name_, "the state must have '{}', got none", name);
    const Tensor& tensor = *found->second;
    given.erase(found);
    return tensor;
  };

  const Tensor& step = take(std::string(kStepName));
  const Shape shape{static_cast<std::int64_t>(parameters_.size())};
  if (step.dtype() != DType::i64 || !(step.shape() == shape))
    fail<ShapeError>(name_, "the state {} must be i64 {}, got {} {}", kStepName, shape, step.dtype(),
                     step.shape());
  const auto steps = step.to_vector<std::int64_t>();
  std::vector<Tensors> states(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (steps[i] < 0 || steps[i] > kMaxSteps)
      fail<ArgumentError>(name_, "the steps of a parameter must be in [0,2^53], got {}", steps[i]);
    if (steps[i] == 0) continue;
    for (const std::string& state_name : state_names_) {
      const std::string name = name_at(state_name, i);
      const Tensor& tensor = take(name);
      check_fits(name_, name, tensor, parameters_[i]->value());
      states[i].push_back(tensor.to(parameters_[i]->value().device(), Tag::optimizer));
    }
  }
  if (!given.empty())
    fail<ArgumentError>(name_, "the state must have what this optimizer keeps, got '{}' too",
                        given.begin()->first);
  steps_ = steps;
  states_ = std::move(states);
}

namespace {

std::vector<std::string> state_names_of(const RmspropOptions& options) {
  std::vector<std::string> names = {"square_avg"};
  if (options.centered) names.emplace_back("grad_avg");
  if (options.momentum > 0) names.emplace_back("momentum_buffer");
  return names;
}

}  // namespace

SGD::SGD(std::vector<Parameter*> parameters, const SgdOptions& options)
    : Optimizer(
          "sgd", std::move(parameters), options.lr,
          options.momentum > 0 ? std::vector<std::string>{"momentum_buffer"} : std::vector<std::string>{}),
      options_(options) {
  kMomentumRange.check("sgd", "momentum", options.momentum);
  kDampeningRange.check("sgd", "dampening", options.dampening);
  kWeightDecayRange.check("sgd", "weight_decay", options.weight_decay);
  if (options.nesterov && (options.momentum == 0 || options.dampening != 0))
    fail<ArgumentError>(
        "sgd",
        "Nesterov's momentum must have a momentum above 0 and no dampening, got momentum {} and dampening {}",
        options.momentum, options.dampening);
}

void SGD::update(kernel::ParameterSteps& steps) {
  options_.lr = lr();
  kernel::sgd_step(options_, steps);
}

Adam::Adam(std::string_view name, std::vector<Parameter*> parameters, const AdamOptions& options)
    : Optimizer(name, std::move(parameters), options.lr, {"exp_avg", "exp_avg_sq"}), options_(options) {
  kBetaRange.check(name, "beta1", options.beta1);
  kBetaRange.check(name, "beta2", options.beta2);
  kOptimizerEpsRange.check(name, "eps", options.eps);
  kWeightDecayRange.check(name, "weight_decay", options.weight_decay);
}

AdamW::AdamW(std::vector<Parameter*> parameters, const AdamWOptions& options)
    : Adam("adamw", std::move(parameters),
           AdamOptions{.lr = options.lr,
                       .beta1 = options.beta1,
                       .beta2 = options.beta2,
                       .eps = options.eps,
                       .weight_decay = options.weight_decay,
                       .decoupled_weight_decay = true}) {}

void Adam::update(kernel::ParameterSteps& steps) {
  options_.lr = lr();
  kernel::adam_step(options_, steps);
}

RMSprop::RMSprop(std::vector<Parameter*> parameters, const RmspropOptions& options)
    : Optimizer("rmsprop", std::move(parameters), options.lr, state_names_of(options)), options_(options) {
  kAlphaRange.check("rmsprop", "alpha", options.alpha);
  kOptimizerEpsRange.check("rmsprop", "eps", options.eps);
  kMomentumRange.check("rmsprop", "momentum", options.momentum);
  kWeightDecayRange.check("rmsprop", "weight_decay", options.weight_decay);
}

void RMSprop::update(kernel::ParameterSteps& steps) {
  options_.lr = lr();
  kernel::rmsprop_step(options_, steps);
}

}  // namespace retrace
