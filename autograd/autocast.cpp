#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/cast.h>
#include <retrace/core/fail.h>

#include <utility>

namespace retrace {

namespace {

thread_local detail::GuardStack<std::optional<DType>> scopes;

std::optional<DType> checked(std::optional<DType> dtype) {
  if (dtype && !is_reduced_float(*dtype))
    fail<DTypeError>("Autocast", "dtype must be bf16 or f16, got {}", *dtype);
  return dtype;
}

}  // namespace

Autocast::Autocast(std::optional<DType> dtype) : guard_(scopes.push(checked(dtype))) {}

std::optional<DType> Autocast::dtype() {
  const std::optional<DType>* innermost = scopes.top();
  return innermost != nullptr ? *innermost : std::nullopt;
}

Var autocast::in_lower(const Var& x) { return to_lower(x) ? cast(x, *Autocast::dtype()) : x; }

Var autocast::in_f32(const Var& x) { return to_f32(x) ? cast(x, DType::f32) : x; }

Vars autocast::in_f32(const Vars& xs) {
  Vars result;
  for (const Var& x : xs) result.push_back(in_f32(x));
  return result;
}

}  // namespace retrace
