#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/core/random.h>
#include <retrace/core/tensor.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

namespace retrace {

namespace {

/// Integers up to here are exact in double.
constexpr double kMostExact = 0x1p53;

template <class T>
bool fits(double x) {
  if constexpr (std::is_integral_v<T>)
    return x >= static_cast<double>(std::numeric_limits<T>::min()) &&
           x <= static_cast<double>(std::numeric_limits<T>::max());
  return true;
}

/// A tensor of `count` numbers in double, made by `at`, whose least and greatest are the first and the last.
template <class At>
Tensor sequence(std::string_view op, std::int64_t count, DType dtype, Device device, const At& at) {
  Tensor x(Shape(std::array{count}, op), dtype);
  visit(dtype, [&]<class T>(TypeTag<T>) {
    if (!fits<T>(at(0)) || !fits<T>(at(count - 1)))
      fail<ArgumentError>(op, "the numbers must fit into {}, got {} to {}", dtype, at(0), at(count - 1));
    std::int64_t i = 0;
    for (T& element : x.mutable_values<T>()) element = static_cast<T>(at(i++));
  });
  return device == Device::cpu() ? x : x.to(device, Tag::data);
}

void check_bounds(std::string_view op, double start, double end) {
  if (!(std::abs(start) <= kMostExact && std::abs(end) <= kMostExact))
    fail<ArgumentError>(op, "start and end must be in [-2^53,2^53], got {} and {}", start, end);
}

}  // namespace

Tensor Tensor::rand(const Shape& shape, DType dtype, Tag tag, Device device) {
  if (dtype != DType::f32 && dtype != DType::f64) fail_not_float("rand", dtype);
  Tensor x(shape, dtype, tag, device);
  kernel::uniform(next_stream(), 0, 1, x);
  return x;
}

Tensor Tensor::randn(const Shape& shape, DType dtype, Tag tag, Device device) {
  if (is_reduced_float(dtype)) return randn(shape, DType::f32, Tag::workspace, device).to(dtype, tag);
  if (!is_float(dtype)) fail_not_any_float("randn", dtype);
  Tensor x(shape, dtype, tag, device);
  kernel::normal(next_stream(), 0, 1, x);
  return x;
}

Tensor Tensor::arange_of(double start, double end, double step, DType dtype, Device device) {
  constexpr std::string_view kOp = "arange";
  check_bounds(kOp, start, end);
  const double count = std::ceil((end - start) / step);
  if (step == 0 || !(count >= 1))
    fail<ArgumentError>(kOp, "the step must lead from start to another end, got start {}, end {}, step {}",
                        start, end, step);
  const auto numbers = static_cast<std::int64_t>(std::min(count, 0x1p62));
  return sequence(kOp, numbers, dtype, device,
                  [=](std::int64_t i) { return start + step * static_cast<double>(i); });
}

Tensor Tensor::linspace(double start, double end, std::int64_t steps, DType dtype, Device device) {
  constexpr std::string_view kOp = "linspace";
  check_bounds(kOp, start, end);
  if (steps < 1) fail<ArgumentError>(kOp, "steps must be at least 1, got {}", steps);
  const double step = steps == 1 ? 0 : (end - start) / static_cast<double>(steps - 1);
  // From both ends, so that both are exact and the numbers lie symmetrically.
  return sequence(kOp, steps, dtype, device, [=](std::int64_t i) {
    return i < (steps + 1) / 2 ? start + step * static_cast<double>(i)
                               : end - step * static_cast<double>(steps - 1 - i);
  });
}

}  // namespace retrace
