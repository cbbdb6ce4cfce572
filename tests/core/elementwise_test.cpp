#include <retrace/core/kernels.h>

#include <cmath>
#include <limits>

#include "../support/catch.h"
#include "../support/random_tensor.h"

using namespace retrace;
using test::bit_equal;
using test::random_tensor;

namespace {

using Unary = decltype(kernel::exp);

/// Element i of a tensor of shape `out` into which x is broadcast.
double broadcast_at(const Tensor& x, const Shape& out, std::int64_t i) {
  std::int64_t offset = 0;
  for (int d = 1; d <= out.rank(); ++d) {
    const std::int64_t index = i % out[-d];
    i /= out[-d];
    if (d <= x.shape().rank() && x.shape()[-d] > 1) offset += index * x.shape().numel_after(-d);
  }
  return x.values<double>()[static_cast<std::size_t>(offset)];
}

/// The largest relative error of a kernel in f32 against the same in f64, over [-range, range].
double worst_relative_error(const Unary& kernel, double range) {
  const Tensor x = [&] {
    Tensor wide({40001}, DType::f32);
    for (std::int64_t i = 0; i < wide.numel(); ++i)
      wide.mutable_data<float>()[i] =
          static_cast<float>(range * std::pow(static_cast<double>(i - 20000) / 20000, 3));
    return wide;
  }();
  Tensor y = like(x);
  kernel(x, y);
  Tensor exact = x.to(DType::f64, Tag::data);
  kernel(exact, exact);
  double worst = 0;
  for (std::size_t i = 0; i < y.values<float>().size(); ++i) {
    const double expected = exact.values<double>()[i];
    if (std::abs(expected) < static_cast<double>(std::numeric_limits<float>::min())) continue;
    worst =
        std::max(worst, std::abs(static_cast<double>(y.values<float>()[i]) - expected) / std::abs(expected));
  }
  return worst;
}

}  // namespace

TEST_CASE("binary kernels broadcast every combination of dimensions", "[elementwise]") {
  const Shape full{3, 4, 2, 5};
  for (int choice = 0; choice < 256; choice += 3) {
    Shape xs = full;
    Shape ys = full;
    for (int d = 0; d < 4; ++d) {
      if ((choice >> d & 1) != 0) xs = xs.with(d, 1);
      if ((choice >> (4 + d) & 1) != 0) ys = ys.with(d, 1);
    }
    const Tensor x = random_tensor(xs, DType::f64, 1);
    const Tensor y = random_tensor(ys, DType::f64, 2);
    Tensor z(broadcast_shape("sub", xs, ys), DType::f64);
    kernel::sub(x, y, z);
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < z.numel(); ++i)
      wrong += z.values<double>()[static_cast<std::size_t>(i)] !=
               broadcast_at(x, z.shape(), i) - broadcast_at(y, z.shape(), i);
    INFO(xs << " - " << ys);
    CHECK(wrong == 0);
  }
}

TEST_CASE("the result may be one of the operands", "[elementwise]") {
  const Tensor x = random_tensor({40000}, DType::f32, 1);
  const Tensor y = random_tensor({40000}, DType::f32, 2);
  Tensor expected = like(x);
  kernel::sub(x, y, expected);
  Tensor left = x.clone(Tag::data);
  kernel::sub(left, y, left);
  Tensor right = y.clone(Tag::data);
  kernel::sub(x, right, right);
  CHECK(bit_equal(left, expected));
  CHECK(bit_equal(right, expected));

  Tensor mask({5000}, DType::u8);
  Tensor mask_of_copy({5000}, DType::u8);
  Tensor copy = x.clone(Tag::data);
  kernel::relu(x, expected, mask);
  kernel::relu(copy, copy, mask_of_copy);
  CHECK(bit_equal(copy, expected));
  CHECK(bit_equal(mask, mask_of_copy));
  kernel::leaky_relu_backward(mask, y, 0.5, expected);
  Tensor dy = y.clone(Tag::data);
  kernel::leaky_relu_backward(mask, dy, 0.5, dy);
  CHECK(bit_equal(dy, expected));
}

TEST_CASE("broadcast_to repeats and divides", "[elementwise]") {
  Tensor y({2, 3}, DType::f64);
  kernel::broadcast_to(Tensor::from<double>({1, 2, 3}, {3}), 0.5, y);
  CHECK(y.to_vector<double>() == std::vector<double>{2, 4, 6, 2, 4, 6});
  kernel::broadcast_to(Tensor::from<double>({1, -1}, {2, 1}), 2, y);
  CHECK(y.to_vector<double>() == std::vector<double>{0.5, 0.5, 0.5, -0.5, -0.5, -0.5});
  kernel::broadcast_to(Tensor::full({}, 7, DType::f64), 1, y);
  CHECK(y.to_vector<double>() == std::vector<double>(6, 7.0));
}

TEST_CASE("exponentials in f32 are within a few units in the last place", "[elementwise]") {
  // exp promises two units in the last place, and the others divide two sums that have its error.
  CHECK(worst_relative_error(kernel::exp, 87) < 0x1p-22);
  CHECK(worst_relative_error(kernel::tanh, 30) < 0x1p-21);
  CHECK(worst_relative_error(kernel::sigmoid, 87) < 0x1p-21);
}

TEST_CASE("exponentials of what is not finite or does not fit", "[elementwise]") {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::from<float>({infinity, -infinity, 100, -120, 0, nan}, {6});
  const auto values = [&](const Unary& kernel) {
    Tensor y = like(x);
    kernel(x, y);
    std::vector<float> result = y.to_vector<float>();
    CHECK(std::isnan(result.back()));
    result.pop_back();
    return result;
  };
  CHECK(values(kernel::exp) == std::vector<float>{infinity, 0, infinity, 0, 1});
  CHECK(values(kernel::tanh) == std::vector<float>{1, -1, 1, -1, 0});
  CHECK(values(kernel::sigmoid) == std::vector<float>{1, 0, 1, 0, 0.5});
}
