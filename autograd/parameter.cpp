#include <retrace/autograd/parameter.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>

#include <utility>
#include <vector>

namespace retrace {

namespace {
thread_local int session_depth = 0;
thread_local std::vector<std::shared_ptr<detail::ParameterState>> session_parameters;
}  // namespace

Parameter::Parameter(Tensor value) {
  state_->value = std::move(value);
  state_->value.storage().set_tag(Tag::parameter);
}

Parameter::Parameter(const Parameter& other) { *this = other; }

Parameter& Parameter::operator=(const Parameter& other) {
  state_->value = other.defined() ? other.value().clone(Tag::parameter) : Tensor();
  state_->requires_grad = other.requires_grad();
  state_->drop_grad();
  return *this;
}

const Tensor& detail::ParameterState::grad() const {
  static const Tensor none;
  if (!invalid_.empty())
    fail<GradientError>("parameter", "a gradient must be complete, but {}; call zero_grad() first", invalid_);
  return has_grad_ ? grad_ : none;
}

void detail::ParameterState::zero_grad() {
  has_grad_ = false;
  invalid_.clear();
}

void detail::ParameterState::drop_grad() {
  zero_grad();
  grad_ = Tensor();
}

void detail::ParameterState::accumulate_grad(const std::shared_ptr<ParameterState>& state, Tensor d) {
  const Tensor& value = state->value;
  if (!(d.shape() == value.shape()) || d.dtype() != value.dtype())
    fail<GradientError>("parameter", "the gradient must be {} {} as its parameter, got {} {}", value.dtype(),
                        value.shape(), d.dtype(), d.shape());
  if (session_depth > 0) session_parameters.push_back(state);
  if (state->has_grad_) {
    kernel::add(state->grad_, d, state->grad_);
    return;
  }
  state->grad_ = d.unique() ? std::move(d) : d.clone(Tag::parameter_gradient);
  state->grad_.storage().set_tag(Tag::parameter_gradient);
  state->has_grad_ = true;
}

void detail::ParameterState::invalidate_grad(std::string why) { invalid_ = std::move(why); }

detail::BackwardSession::BackwardSession() { ++session_depth; }

detail::BackwardSession::~BackwardSession() {
  if (--session_depth == 0) session_parameters.clear();
}

void detail::BackwardSession::fail(const std::string& why) {
  if (session_depth > 1) return;
  for (const auto& parameter : session_parameters) parameter->invalidate_grad(why);
}

}  // namespace retrace
