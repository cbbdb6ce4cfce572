#include <retrace/autograd/parameter.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>

#include <utility>
#include <vector>

namespace retrace {

namespace {
thread_local int session_depth = 0;
thread_local std::vector<Parameter*> session_parameters;
}  // namespace

Parameter::Parameter(Tensor value) : value_(std::move(value)) { value_.storage().set_tag(Tag::parameter); }

Parameter::Parameter(const Parameter& other)
    : value_(other.defined() ? other.value_.clone(Tag::parameter) : Tensor()),
      requires_grad_(other.requires_grad_) {}

Parameter& Parameter::operator=(const Parameter& other) {
  Parameter copy(other);
  std::swap(value_, copy.value_);
  requires_grad_ = copy.requires_grad_;
  grad_ = Tensor();
  zero_grad();
  return *this;
}

const Tensor& Parameter::grad() const {
  static const Tensor none;
  if (!invalid_.empty())
    fail<GradientError>("parameter", "a gradient must be complete, but {}; call zero_grad() first", invalid_);
  return has_grad_ ? grad_ : none;
}

void Parameter::zero_grad() {
  has_grad_ = false;
  invalid_.clear();
}

void Parameter::accumulate_grad(Tensor d) {
  if (!(d.shape() == shape()) || d.dtype() != value_.dtype())
    retrace::fail<GradientError>("parameter", "the gradient must be {} {} as its parameter, got {} {}",
                                 value_.dtype(), shape(), d.dtype(), d.shape());
  if (session_depth > 0) session_parameters.push_back(this);
  if (std::exchange(has_grad_, true)) {
    kernel::add(grad_, d, grad_);
    return;
  }
  grad_ = d.unique() ? std::move(d) : d.clone(Tag::parameter_gradient);
  grad_.storage().set_tag(Tag::parameter_gradient);
}

void Parameter::invalidate_grad(std::string why) { invalid_ = std::move(why); }

detail::BackwardSession::BackwardSession() { ++session_depth; }

detail::BackwardSession::~BackwardSession() {
  if (--session_depth == 0) session_parameters.clear();
}

void detail::BackwardSession::fail(const std::string& why) {
  if (session_depth > 1) return;
  for (Parameter* parameter : session_parameters) parameter->invalidate_grad(why);
}

}  // namespace retrace
