#include <retrace/core/kernels.h>

#include <cmath>

#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/rounding.h"

using namespace retrace;
using test::part_of_allowed;
using test::random_tensor;
using test::Rounded;
using test::RoundedSum;

namespace {

/// The same sums, one term after the other.
std::vector<RoundedSum> slow_sums(const Tensor& x, const Shape& out) {
  std::vector<RoundedSum> sums(static_cast<std::size_t>(out.numel()));
  const std::vector<double> values = x.to_vector<double>();
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    std::int64_t at = 0;
    std::int64_t rest = i;
    for (int d = x.shape().rank() - 1; d >= 0; --d) {
      if (out[d] > 1) at += rest % x.shape()[d] * out.numel_after(d);
      rest /= x.shape()[d];
    }
    sums[static_cast<std::size_t>(at)] += Rounded{values[static_cast<std::size_t>(i)]};
  }
  return sums;
}

}  // namespace

TEST_CASE("sum_to sums over every choice of dimensions", "[reduce]") {
  for (const Shape& shape :
       {Shape{2, 3, 4, 5}, Shape{7, 1, 300, 2}, Shape{3, 40, 1, 500}, Shape{130, 2, 67, 3}}) {
    for (int choice = 0; choice < 16; ++choice) {
      Shape out = shape;
      for (int d = 0; d < 4; ++d)
        if ((choice >> d & 1) != 0) out = out.with(d, 1);
      for (const DType dtype : {DType::f32, DType::f64}) {
        const Tensor x = random_tensor(shape, dtype, 1);
        Tensor y = like(x, out);
        kernel::sum_to(x, 1, y);
        INFO(shape << " to " << out);
        CHECK(part_of_allowed(y, slow_sums(x, out)) <= 1);
      }
    }
  }
}

TEST_CASE("sum_to of a scalar is a copy", "[reduce]") {
  Tensor y({}, DType::f32);
  kernel::sum_to(Tensor::full({}, 2.5, DType::f32), 1, y);
  CHECK(y.item() == 2.5);
}

TEST_CASE("sums in f32 do not lose small terms", "[reduce]") {
  const std::int64_t n = 1 << 21;
  const Tensor x = Tensor::full({n}, 0.1, DType::f32);
  Tensor y({1}, DType::f32);
  kernel::sum_to(x, 1, y);
  CHECK(y.item() == static_cast<float>(static_cast<double>(n) * static_cast<double>(0.1F)));
}

TEST_CASE("sums do not depend on threads", "[reduce]") {
  for (const Shape& out :
       {Shape{1, 1, 1}, Shape{1, 5, 1}, Shape{1, 1, 700}, Shape{40, 1, 700}, Shape{40, 5, 1}})
    CHECK(test::same_for_any_threads([&] {
      Tensor y(out, DType::f32);
      kernel::sum_to(random_tensor({40, 5, 700}, DType::f32, 3), 1, y);
      return y;
    }));
}

TEST_CASE("sum_to's scratch space depends on the shapes alone", "[reduce]") {
  const Tensor x = random_tensor({100, 16, 8, 8}, DType::f32, 1);
  Tensor y({1, 16, 1, 1}, DType::f32);
  const Counter counter(Tag::workspace);
  const std::int64_t before = counter.live();
  kernel::sum_to(x, 1, y);
  CHECK(counter.peak() == before + 16 * 8);
  CHECK(counter.live() == before);
}

TEST_CASE("argmax takes the first of the largest along the last dimension", "[reduce]") {
  const Tensor x = Tensor::from<float>({1, 3, 2, 5, 5, 0, -4, -6, -4}, {3, 3});
  Tensor y({3}, DType::i64);
  kernel::argmax(x, y);
  CHECK(y.to_vector<int>() == std::vector<int>{1, 0, 0});
}

TEST_CASE("argmax takes the first NaN, wherever it is", "[reduce]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    const Tensor x = Tensor::from<double>(
                         {nan, 3, 2, 1, nan, nan, infinity, 5, nan, -infinity, -infinity, -infinity}, {4, 3})
                         .to(dtype, Tag::data);
    Tensor y({4}, DType::i64);
    kernel::argmax(x, y);
    CHECK(y.to_vector<int>() == std::vector<int>{0, 1, 2, 0});
  }
}
