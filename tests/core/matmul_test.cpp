#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/rounding.h"

#include <retrace/core/error.h>
#include <retrace/core/kernels.h>

using namespace retrace;
using namespace retrace::test;

namespace {

/// The number of the matrix of x that meets matrix `batch` of the result: row-major indices, one dimension at
/// a time.
std::int64_t matrix_of(const Shape& x, const Shape& out, std::int64_t batch) {
  std::vector<std::int64_t> index;
  for (int d = out.rank() - 3; d >= 0; --d) {
    index.insert(index.begin(), batch % out[d]);
    batch /= out[d];
  }
  std::int64_t number = 0;
  for (int d = 0; d < x.rank() - 2; ++d) {
    const std::int64_t i = index[static_cast<std::size_t>(d + out.rank() - x.rank())];
    number = number * x[d] + (x[d] == 1 ? 0 : i);
  }
  return number;
}

std::vector<RoundedSum> reference(const Tensor& a, const Tensor& b, const MatmulOptions& options,
                                  const Shape& out) {
  const std::vector<double> x = a.to_vector<double>();
  const std::vector<double> y = b.to_vector<double>();
  const std::int64_t m = out[-2];
  const std::int64_t n = out[-1];
  const std::int64_t k = a.shape()[options.transpose_a ? -2 : -1];
  std::vector<RoundedSum> result;
  for (std::int64_t batch = 0; batch < out.numel() / (m * n); ++batch) {
    const double* left = x.data() + matrix_of(a.shape(), out, batch) * m * k;
    const double* right = y.data() + matrix_of(b.shape(), out, batch) * k * n;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        RoundedSum sum;
        for (std::int64_t l = 0; l < k; ++l)
          sum += Rounded{left[options.transpose_a ? l * m + i : i * k + l]} *
                 Rounded{right[options.transpose_b ? j * k + l : l * n + j]};
        result.push_back(sum);
      }
  }
  return result;
}

struct Case {
  Shape a, b;
};

Shape transposed(const Shape& x) { return x.with(-2, x[-1]).with(-1, x[-2]); }

}  // namespace

TEST_CASE("matmul gives the sums of products", "[matmul]") {
  const Case c =
      GENERATE(Case{{1, 1}, {1, 1}}, Case{{3, 4}, {4, 5}}, Case{{1, 7}, {7, 3}}, Case{{5, 3}, {3, 1}},
               Case{{100, 64}, {64, 10}}, Case{{97, 33}, {33, 515}}, Case{{2, 3, 4}, {2, 4, 5}},
               Case{{2, 3, 4}, {4, 5}}, Case{{3, 4}, {2, 4, 5}}, Case{{2, 1, 3, 4}, {3, 4, 2}},
               Case{{2, 3, 2, 2}, {2, 1, 2, 2}}, Case{{40, 9, 17}, {40, 17, 6}});
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const bool ta = GENERATE(false, true);
  const bool tb = GENERATE(false, true);
  const MatmulOptions options{.transpose_a = ta, .transpose_b = tb};
  const Tensor a = random_tensor(ta ? transposed(c.a) : c.a, dtype, 1);
  const Tensor b = random_tensor(tb ? transposed(c.b) : c.b, dtype, 2);
  const Shape shape = matmul_shape(a.shape(), b.shape(), options);
  CAPTURE(c.a, c.b, ta, tb);
  Tensor out(shape, dtype);
  kernel::matmul(a, b, Tensor(), options, out);
  CHECK(part_of_allowed(out, reference(a, b, options, shape)) <= 1);
}

TEST_CASE("matmul is bit-equal for any number of threads", "[matmul]") {
  const Case c = GENERATE(Case{{300, 70}, {70, 600}}, Case{{50, 20, 30}, {50, 30, 20}});
  const Tensor a = random_tensor(c.a, DType::f32, 1);
  const Tensor b = random_tensor(c.b, DType::f32, 2);
  CHECK(same_for_any_threads([&] {
    Tensor out(matmul_shape(a.shape(), b.shape()), DType::f32);
    kernel::matmul(a, b, Tensor(), {}, out);
    return out;
  }));
}

TEST_CASE("matmul multiplies floating-point numbers alone", "[matmul]") {
  const Tensor a = Tensor::zeros({2, 2}, DType::i32);
  Tensor out = Tensor::zeros({2, 2}, DType::i32);
  CHECK_THROWS_AS(kernel::matmul(a, a, Tensor(), {}, out), DTypeError);
}
