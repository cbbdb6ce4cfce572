#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/rounding.h"

#include <retrace/core/kernels.h>

using namespace retrace;
using namespace retrace::test;

namespace {

struct Case {
  Shape x;
  Pool2dOptions options{};
};

Case any_case() {
  return GENERATE(Case{{2, 3, 8, 8}}, Case{{1, 2, 7, 9}, {.kernel = 3, .stride = 2, .padding = 1}},
                  Case{{2, 1, 5, 6}, {.kernel = {2, 3}, .stride = 1, .padding = {1, 0}}},
                  Case{{1, 2, 9, 9}, {.kernel = 2, .stride = 4}}, Case{{3, 2, 4, 4}, {.kernel = 4}},
                  Case{{1, 1, 1, 1}, {.kernel = 1}});
}

/// Calls f(index into y, index into x) for each pair where the output sees the input.
template <class F>
void for_each_pair(const Case& c, const F& f) {
  const Shape y = pool2d_shape("pool", c.x, c.options);
  const Size2d stride = c.options.stride.value_or(c.options.kernel);
  std::size_t out = 0;
  for (std::int64_t plane = 0; plane < y[0] * y[1]; ++plane)
    for (std::int64_t i = 0; i < y[2]; ++i)
      for (std::int64_t j = 0; j < y[3]; ++j, ++out)
        for (std::int64_t k = 0; k < c.options.kernel.h * c.options.kernel.w; ++k) {
          const std::int64_t row = i * stride.h - c.options.padding.h + k / c.options.kernel.w;
          const std::int64_t column = j * stride.w - c.options.padding.w + k % c.options.kernel.w;
          if (row >= 0 && row < c.x[2] && column >= 0 && column < c.x[3])
            f(out, static_cast<std::size_t>((plane * c.x[2] + row) * c.x[3] + column));
        }
}

std::vector<double> filled(const Shape& shape, double value) {
  return std::vector<double>(static_cast<std::size_t>(shape.numel()), value);
}

}  // namespace

TEST_CASE("max_pool2d takes the largest value and sends the gradient there", "[pool]") {
  const Case c = any_case();
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Shape shape = pool2d_shape("max_pool2d", c.x, c.options);
  CAPTURE(c.x, shape);
  const Tensor x = random_tensor(c.x, dtype, 1);
  Tensor y(shape, dtype);
  Tensor indices(shape, DType::i32);
  kernel::max_pool2d(x, c.options, y, indices);

  const std::vector<double> xs = x.to_vector<double>();
  std::vector<double> expected = filled(shape, -INFINITY);
  std::vector<std::size_t> places(expected.size());
  for_each_pair(c, [&](std::size_t out, std::size_t in) {
    if (xs[in] > expected[out]) {
      expected[out] = xs[in];
      places[out] = in;
    }
  });
  CHECK(y.to_vector<double>() == expected);

  const Tensor dy = random_tensor(shape, dtype, 2);
  const std::vector<double> dys = dy.to_vector<double>();
  std::vector<RoundedSum> expected_dx(static_cast<std::size_t>(x.numel()));
  for (std::size_t out = 0; out < places.size(); ++out) expected_dx[places[out]] += Rounded{dys[out]};
  Tensor dx(c.x, dtype);
  kernel::max_pool2d_backward(dy, indices, c.options, dx);
  CHECK(part_of_allowed(dx, expected_dx) <= 1);

  Tensor without_indices(shape, dtype);
  Tensor none;
  kernel::max_pool2d(x, c.options, without_indices, none);
  CHECK(bit_equal(without_indices, y));
}

TEST_CASE("in max_pool2d the first of equal values counts, and a NaN wins", "[pool]") {
  const Tensor x = Tensor::from<float>({1, 1, 1, 1, 5, NAN, 7, 6, -INFINITY, -INFINITY, -INFINITY, -INFINITY},
                                       {1, 3, 2, 2});
  Tensor y({1, 3, 1, 1}, DType::f32);
  Tensor indices({1, 3, 1, 1}, DType::i32);
  kernel::max_pool2d(x, {}, y, indices);
  CHECK(indices.to_vector<int>() == std::vector<int>{0, 1, 0});
  CHECK(y.values<float>()[0] == 1);
  CHECK(std::isnan(y.values<float>()[1]));
  CHECK(y.values<float>()[2] == -INFINITY);
}

TEST_CASE("avg_pool2d takes the mean, zeros of the padding included", "[pool]") {
  const Case c = any_case();
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Shape shape = pool2d_shape("avg_pool2d", c.x, c.options);
  CAPTURE(c.x, shape);
  const Rounded window{static_cast<double>(c.options.kernel.h * c.options.kernel.w)};
  const Rounded share = Rounded{1} / window;
  const Tensor x = random_tensor(c.x, dtype, 1);
  const Tensor dy = random_tensor(shape, dtype, 2);
  const std::vector<double> xs = x.to_vector<double>();
  const std::vector<double> dys = dy.to_vector<double>();
  std::vector<RoundedSum> expected(dys.size());
  std::vector<RoundedSum> expected_dx(xs.size());
  for_each_pair(c, [&](std::size_t out, std::size_t in) {
    expected[out] += Rounded{xs[in]} * share;
    expected_dx[in] += Rounded{dys[out]} * share;
  });
  Tensor y(shape, dtype);
  kernel::avg_pool2d(x, c.options, y);
  CHECK(part_of_allowed(y, expected) <= 1);
  Tensor dx(c.x, dtype);
  kernel::avg_pool2d_backward(dy, c.options, dx);
  CHECK(part_of_allowed(dx, expected_dx) <= 1);
}

TEST_CASE("adaptive_avg_pool2d takes the mean of each cell", "[pool]") {
  const Tensor x = Tensor::from<double>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {1, 1, 2, 5});
  Tensor mean({1, 1, 1, 1}, DType::f64);
  kernel::adaptive_avg_pool2d(x, mean);
  CHECK(mean.item() == 5.5);
  Tensor cells({1, 1, 1, 3}, DType::f64);  // columns 0-1, 1-3, 3-4
  kernel::adaptive_avg_pool2d(x, cells);
  CHECK(cells.to_vector<double>() == std::vector<double>{4, 5.5, 7});
  Tensor finer({1, 1, 4, 5}, DType::f64);
  kernel::adaptive_avg_pool2d(x, finer);
  CHECK(finer.to_vector<double>() ==
        std::vector<double>{1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 6, 7, 8, 9, 10});

  const Tensor dy = Tensor::from<double>({4, 6, 8}, {1, 1, 1, 3});
  Tensor dx({1, 1, 2, 5}, DType::f64);
  kernel::adaptive_avg_pool2d_backward(dy, dx);
  CHECK(dx.to_vector<double>() == std::vector<double>{1, 2, 1, 3, 2, 1, 2, 1, 3, 2});
}

TEST_CASE("pooling is bit-equal for any number of threads", "[pool]") {
  const Tensor x = random_tensor({4, 9, 32, 32}, DType::f32, 1);
  const Tensor dy = random_tensor({4, 9, 16, 16}, DType::f32, 2);
  const auto check = [](const Shape& shape, const auto& write) {
    CHECK(same_for_any_threads([&] {
      Tensor out(shape, DType::f32);
      write(out);
      return out;
    }));
  };
  Tensor indices(dy.shape(), DType::i32);
  check(dy.shape(), [&](Tensor& y) { kernel::max_pool2d(x, {}, y, indices); });
  check(x.shape(), [&](Tensor& dx) { kernel::max_pool2d_backward(dy, indices, {}, dx); });
  check(dy.shape(), [&](Tensor& y) { kernel::avg_pool2d(x, {}, y); });
  check(x.shape(), [&](Tensor& dx) { kernel::avg_pool2d_backward(dy, {}, dx); });
  check({4, 9, 5, 3}, [&](Tensor& y) { kernel::adaptive_avg_pool2d(x, y); });
  check(x.shape(), [&](Tensor& dx) { kernel::adaptive_avg_pool2d_backward(dy, dx); });
}
