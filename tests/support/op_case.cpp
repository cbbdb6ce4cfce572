#include "op_case.h"

#include "rounding.h"

#include <retrace/autograd/tape.h>
#include <retrace/core/random.h>
#include <retrace/core/scope.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

namespace retrace::test {

namespace {

double random_at(std::uint64_t seed, std::int64_t i) {
  return uniform_at({.seed = seed, .stream = 42}, static_cast<std::uint64_t>(i));
}

template <class F>
InputMaker generated(const Shape& shape, F f) {
  return [shape, f](DType dtype) {
    Tensor x(shape, DType::f64);
    for (std::int64_t i = 0; i < x.numel(); ++i) x.mutable_data<double>()[i] = f(i);
    return x.to(dtype, Tag::data);
  };
}

/// Moves every saved floating-point number once, and puts the content numbers back.
void perturb(const std::vector<SavedTensor>& saved, double by) {
  std::set<const void*> seen;
  for (const SavedTensor& s : saved) {
    if (!s.tensor.defined() || !is_float(s.tensor.dtype())) continue;
    const std::uint64_t content = s.tensor.storage().content();
    visit_float("perturb", s.tensor.dtype(), [&]<class T>(TypeTag<T>) {
      if (!seen.insert(s.tensor.data<T>()).second) return;
      Tensor x = s.tensor;
      const std::span<T> numbers = x.mutable_values<T>();
      for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] += static_cast<T>(i % 2 == 0 ? by : -by);
    });
    s.tensor.storage().set_content(content);
  }
}

}  // namespace

InputMaker values(const Shape& shape, std::initializer_list<double> numbers) {
  return [x = Tensor::from(numbers, shape)](DType dtype) { return x.to(dtype, Tag::data); };
}

InputMaker uniform(const Shape& shape, double low, double high, std::uint64_t seed) {
  return generated(shape, [=](std::int64_t i) { return low + (high - low) * random_at(seed, i); });
}

InputMaker with_zeros(const Shape& shape, std::uint64_t seed) {
  return generated(shape, [=](std::int64_t i) { return i % 3 == 1 ? 0.0 : 2 * random_at(seed, i) - 1; });
}

InputMaker distinct(const Shape& shape, std::uint64_t seed) {
  const std::int64_t n = shape.numel();
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [=](std::int64_t a, std::int64_t b) { return random_at(seed, a) < random_at(seed, b); });
  return generated(shape, [order, n](std::int64_t i) {
    return 0.01 * static_cast<double>(order[static_cast<std::size_t>(i)] - n / 2) + 0.005;
  });
}

InputMaker labels(const Shape& shape, std::int64_t classes, std::uint64_t seed) {
  return [=](DType) {
    Tensor x(shape, DType::i64);
    for (std::int64_t i = 0; i < x.numel(); ++i)
      x.mutable_data<std::int64_t>()[i] =
          static_cast<std::int64_t>(random_at(seed, i) * static_cast<double>(classes));
    return x;
  };
}

Tensor beside(const Var& x, const Tensor& t) { return t.to(x.value().device(), Tag::data); }

Tensors make_inputs(const OpCase& op_case, DType dtype) {
  Tensors inputs;
  for (const InputMaker& make : op_case.inputs) inputs.push_back(make(dtype));
  return inputs;
}

Tensor make_cotangent(const Tensor& y) { return uniform(y.shape(), -1, 1, 7)(y.dtype()); }

Outcome run_recorded(const OpCase& op_case, const Tensors& inputs, double perturbation, const Tensor& dy) {
  Tape tape;
  Vars xs;
  for (const Tensor& input : inputs)
    xs.push_back(is_float(input.dtype()) ? tape.watch(input.clone(Tag::activation)) : Var(input));
  const Reenter scope{ScopeState{}};  // the same random numbers in each run
  const Var y = op_case.function(xs);
  Outcome outcome{.y = y.value().clone(Tag::data), .gradients = {}};
  if (perturbation != 0) perturb(tape.saved(), perturbation);
  tape.backward(y, dy.defined() ? dy : beside(y, make_cotangent(y.value())));
  for (const Var& x : xs) outcome.gradients.push_back(x.constant() ? Tensor() : tape.grad(x));
  return outcome;
}

Tensor run_plain(const OpCase& op_case, const Tensors& inputs) {
  const NoTape no_tape;
  const Reenter scope{ScopeState{}};
  return op_case.function(Vars(inputs.begin(), inputs.end())).value();
}

double tolerance_of(DType dtype) { return (is_reduced_float(dtype) ? 12 : 50) * unit_roundoff(dtype); }

std::optional<DType> autocast_for(DType dtype) {
  return is_reduced_float(dtype) ? std::optional(dtype) : std::nullopt;
}

std::vector<double> numbers(const Tensor& x) {
  return x.defined() ? x.to_vector<double>() : std::vector<double>();
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return false;
  return visit(a.dtype(), [&]<class T>(TypeTag<T>) {
    return std::memcmp(a.data<T>(), b.data<T>(), static_cast<std::size_t>(a.bytes())) == 0;
  });
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = a[i] == b[i] ? 0 : std::abs(a[i] - b[i]) / (1 + std::abs(b[i]));
    if (std::isnan(error)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, error);
  }
  return worst;
}

}  // namespace retrace::test
