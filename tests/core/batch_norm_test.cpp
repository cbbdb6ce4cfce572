#include "../support/catch.h"
#include "../support/random_tensor.h"

#include <retrace/core/kernels.h>

using namespace retrace;
using namespace retrace::test;

namespace {

constexpr double kEps = 1e-5;

/// One batch norm with everything that it reads and writes.
struct Fixture {
  Fixture(const Shape& shape, DType dtype, double offset = 0)
      : x(random_tensor(shape, dtype, 1)),
        gamma(random_tensor({shape[1]}, dtype, 2)),
        beta(random_tensor({shape[1]}, dtype, 3)),
        dy(random_tensor(shape, dtype, 4)),
        running_mean(random_tensor({shape[1]}, dtype, 5)),
        running_var(Tensor::full({shape[1]}, 2, dtype)),
        mean(like(gamma)),
        rstd(like(gamma)),
        y(like(x)),
        dx(like(x)),
        dgamma(like(gamma)),
        dbeta(like(gamma)) {
    kernel::scale_shift(x, 1.5, offset, x);
  }

  void forward(double momentum = 0.1) {
    kernel::batch_norm_training(x, gamma, beta, momentum, kEps, relu, running_mean, running_var, mean, rstd,
                                y, mask);
  }
  void backward(bool training) {
    kernel::batch_norm_backward(dy, x, gamma, mean, rstd, mask, training, {}, dx, dgamma, dbeta);
  }

  Tensor x, gamma, beta, dy, running_mean, running_var, mean, rstd, y, dx, dgamma, dbeta;
  Tensor mask{};  // only with a ReLU
  bool relu = false;
};

/// The same by the book, in double.
struct Reference {
  explicit Reference(const Fixture& f, bool training = true) {
    const Shape shape = f.x.shape();
    const auto channels = static_cast<std::size_t>(shape[1]);
    const auto plane = static_cast<std::size_t>(shape.numel_after(1));
    const std::vector<double> x = f.x.to_vector<double>();
    const std::vector<double> dy = f.dy.to_vector<double>();
    const std::vector<double> gamma = f.gamma.to_vector<double>();
    const std::vector<double> beta = f.beta.to_vector<double>();
    const double n = static_cast<double>(x.size() / channels);
    const auto each = [&](const auto& g) {
      for (std::size_t i = 0; i < x.size(); ++i) g(i, i / plane % channels);
    };
    mean.resize(channels);
    var.resize(channels);
    each([&](std::size_t i, std::size_t c) { mean[c] += x[i] / n; });
    each([&](std::size_t i, std::size_t c) { var[c] += (x[i] - mean[c]) * (x[i] - mean[c]) / n; });
    if (!training) {
      mean = f.running_mean.to_vector<double>();
      var = f.running_var.to_vector<double>();
    }
    for (const double v : var) rstd.push_back(1 / std::sqrt(v + kEps));
    dgamma.resize(channels);
    dbeta.resize(channels);
    each([&](std::size_t i, std::size_t c) {
      y.push_back(gamma[c] * (x[i] - mean[c]) * rstd[c] + beta[c]);
      dgamma[c] += dy[i] * (x[i] - mean[c]) * rstd[c];
      dbeta[c] += dy[i];
    });
    each([&](std::size_t i, std::size_t c) {
      const double through_statistics =
          training ? dbeta[c] / n + (x[i] - mean[c]) * rstd[c] * dgamma[c] / n : 0;
      dx.push_back(gamma[c] * rstd[c] * (dy[i] - through_statistics));
    });
  }

  std::vector<double> mean, var, rstd, y, dx, dgamma, dbeta;
};

Shape any_shape() {
  return GENERATE(Shape{4, 3, 5, 7}, Shape{2, 1, 1, 1}, Shape{9, 70}, Shape{3, 2, 70, 65},
                  Shape{5, 130, 2, 3}, Shape{4, 16, 32, 32}, Shape{1, 3, 8, 8}, Shape{2, 20, 1, 1});
}

}  // namespace

TEST_CASE("batch norm in training normalises by the batch's statistics", "[batch_norm]") {
  const Shape shape = any_shape();
  const DType dtype = GENERATE(DType::f32, DType::f64);
  CAPTURE(shape, name_of(dtype));
  Fixture f(shape, dtype, 0.5);
  const std::vector<double> old_mean = f.running_mean.to_vector<double>();
  f.forward(0.25);
  f.backward(true);
  const Reference expected(f);
  const double limit = 10 * tolerance(dtype);
  CHECK(relative_error(f.mean, expected.mean) < limit);
  CHECK(relative_error(f.rstd, expected.rstd) < limit);
  CHECK(relative_error(f.y, expected.y) < limit);
  CHECK(relative_error(f.dgamma, expected.dgamma) < limit);
  CHECK(relative_error(f.dbeta, expected.dbeta) < limit);
  // dx is a small difference of large terms where a channel has few values.
  CHECK(relative_error(f.dx, expected.dx) < (shape.numel() / shape[1] <= 2 ? 1e6 : 1) * limit);

  const double n = static_cast<double>(shape.numel() / shape[1]);
  std::vector<double> running_mean;
  std::vector<double> running_var;
  for (std::size_t c = 0; c < expected.mean.size(); ++c) {
    running_mean.push_back(0.75 * old_mean[c] + 0.25 * expected.mean[c]);
    running_var.push_back(0.75 * 2 + 0.25 * expected.var[c] * n / (n - 1));
  }
  CHECK(relative_error(f.running_mean, running_mean) < limit);
  CHECK(relative_error(f.running_var, running_var) < limit);
}

TEST_CASE("batch norm without running statistics computes the same numbers", "[batch_norm]") {
  Fixture f({4, 3, 5, 7}, DType::f32);
  f.forward();
  Fixture g({4, 3, 5, 7}, DType::f32);
  g.running_mean = Tensor();
  g.running_var = Tensor();
  g.forward();
  CHECK(bit_equal(f.y, g.y));
  CHECK(bit_equal(f.rstd, g.rstd));
}

TEST_CASE("batch norm in evaluation normalises by given statistics", "[batch_norm]") {
  const Shape shape = any_shape();
  const DType dtype = GENERATE(DType::f32, DType::f64);
  CAPTURE(shape, name_of(dtype));
  Fixture f(shape, dtype);
  f.mean = f.running_mean;
  kernel::batch_norm_rstd(f.running_var, kEps, f.rstd);
  kernel::batch_norm_normalize(f.x, f.mean, f.rstd, f.gamma, f.beta, f.relu, f.y, f.mask);
  f.backward(false);
  const Reference expected(f, false);
  CHECK(relative_error(f.y, expected.y) < tolerance(dtype));
  CHECK(relative_error(f.dx, expected.dx) < tolerance(dtype));
  CHECK(relative_error(f.dgamma, expected.dgamma) < 10 * tolerance(dtype));
  CHECK(relative_error(f.dbeta, expected.dbeta) < 10 * tolerance(dtype));
}

TEST_CASE("batch norm's derivative computes only what is asked for, with the same numbers", "[batch_norm]") {
  const bool training = GENERATE(true, false);
  Fixture f({4, 3, 5, 7}, DType::f64);
  f.forward();
  f.backward(training);
  Tensor none;
  Tensor alone = like(f.dbeta);
  kernel::batch_norm_backward(f.dy, Tensor(), Tensor(), f.mean, f.rstd, f.mask, training, {}, none, none,
                              alone);
  CHECK(bit_equal(alone, f.dbeta));
  kernel::batch_norm_backward(f.dy, f.x, Tensor(), f.mean, f.rstd, f.mask, training, {}, none, alone, none);
  CHECK(bit_equal(alone, f.dgamma));
  Tensor dx = like(f.dx);
  kernel::batch_norm_backward(f.dy, training ? f.x : Tensor(), f.gamma, f.mean, f.rstd, f.mask, training, {},
                              dx, none, none);
  CHECK(bit_equal(dx, f.dx));
}

TEST_CASE("batch norm's gradient of x onto a residual has the bits of itself and a sum", "[batch_norm]") {
  const Shape shape = any_shape();
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const bool training = GENERATE(true, false);
  const bool relu = GENERATE(true, false);
  const Sign sign = GENERATE(Sign::plus, Sign::minus);
  CAPTURE(shape, name_of(dtype), training, relu);
  Fixture f(shape, dtype);
  f.relu = relu;
  if (relu) f.mask = Tensor({(shape.numel() + 7) / 8}, DType::u8);
  f.forward();
  f.backward(training);
  const Tensor residual = random_tensor(shape, dtype, 6);
  Tensor expected = like(f.dx);
  (sign == Sign::plus ? kernel::add : kernel::sub)(residual, f.dx, expected);

  Tensor dx = GENERATE(0, 1) == 0 ? f.dy : residual;
  Tensor dgamma = like(f.dgamma);
  Tensor dbeta = like(f.dbeta);
  kernel::batch_norm_backward(f.dy, f.x, f.gamma, f.mean, f.rstd, f.mask, training, {residual, sign}, dx,
                              dgamma, dbeta);
  CHECK(bit_equal(dx, expected));
  CHECK(bit_equal(dgamma, f.dgamma));
  CHECK(bit_equal(dbeta, f.dbeta));
}

TEST_CASE("batch norm's variance is exact far from zero", "[batch_norm]") {
  Fixture f({8, 2, 16, 16}, DType::f32, 3000);
  f.forward();
  CHECK(relative_error(f.rstd, Reference(f).rstd) < 1e-5);
}

TEST_CASE("batch norm's variance bears a first image unlike the others", "[batch_norm]") {
  const Shape shape = GENERATE(Shape{100, 2, 4, 4}, Shape{100, 2, 16, 16}, Shape{1000, 3});
  CAPTURE(shape);
  Fixture f(shape, DType::f32);
  for (float& v : f.x.mutable_values<float>().first(static_cast<std::size_t>(shape.numel() / shape[0])))
    v += 1e4F;
  f.forward();
  const Reference expected(f);
  CHECK(relative_error(f.mean, expected.mean) < 1e-5);
  CHECK(relative_error(f.rstd, expected.rstd) < 1e-5);
}

TEST_CASE("batch norm passes a NaN on", "[batch_norm]") {
  Fixture f({2, 2, 3, 3}, DType::f32);
  f.x.mutable_values<float>()[0] = NAN;
  f.forward();
  CHECK(std::isnan(f.y.values<float>()[1]));
  CHECK(std::isnan(f.running_var.values<float>()[0]));
  CHECK(!std::isnan(f.y.values<float>()[9]));
  CHECK(!std::isnan(f.running_var.values<float>()[1]));
}

TEST_CASE("batch norm is bit-equal for any number of threads", "[batch_norm]") {
  const Shape shape = GENERATE(Shape{6, 5, 9, 9}, Shape{4, 130}, Shape{6, 130, 4, 4});
  const bool relu = GENERATE(false, true);
  const Tensor Fixture::*result =
      GENERATE(&Fixture::y, &Fixture::dx, &Fixture::dgamma, &Fixture::rstd, &Fixture::running_var);
  CHECK(same_for_any_threads([&] {
    Fixture f(shape, DType::f32);
    f.relu = relu;
    if (relu) f.mask = Tensor({(shape.numel() + 7) / 8}, DType::u8);
    f.forward();
    f.backward(true);
    return f.*result;
  }));
}

TEST_CASE("batch norm with a ReLU is the two kernels, bit for bit", "[batch_norm]") {
  const Shape shape =
      GENERATE(Shape{4, 3, 5, 7}, Shape{9, 70}, Shape{3, 2, 70, 65}, Shape{5, 130, 2, 3},
               Shape{4, 16, 32, 32}, Shape{3, 24, 4, 6}, Shape{2, 3, 8, 8}, Shape{3, 5, 2, 12});
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const bool training = GENERATE(true, false);
  CAPTURE(shape, name_of(dtype), training);
  const auto forward = [&](Fixture& f) {
    if (training) return f.forward();
    f.mean = f.running_mean;
    kernel::batch_norm_rstd(f.running_var, kEps, f.rstd);
    kernel::batch_norm_normalize(f.x, f.mean, f.rstd, f.gamma, f.beta, f.relu, f.y, f.mask);
  };
  Fixture apart(shape, dtype);
  forward(apart);
  Tensor y = like(apart.y);
  Tensor mask({(shape.numel() + 7) / 8}, DType::u8);
  kernel::relu(apart.y, y, mask);
  kernel::masked_backward(mask, apart.dy, apart.dy);
  apart.backward(training);

  Fixture fused(shape, dtype);
  fused.relu = true;
  forward(fused);
  CHECK(bit_equal(fused.y, y));  // no mask was asked for
  fused.mask = Tensor::full(mask.shape(), 255, DType::u8);
  forward(fused);
  fused.backward(training);
  CHECK(bit_equal(fused.y, y));
  CHECK(bit_equal(fused.mask, mask));
  CHECK(bit_equal(fused.rstd, apart.rstd));
  CHECK(bit_equal(fused.dx, apart.dx));
  CHECK(bit_equal(fused.dgamma, apart.dgamma));
  CHECK(bit_equal(fused.dbeta, apart.dbeta));

  Tensor none;
  Tensor alone = like(fused.dbeta);
  kernel::batch_norm_backward(fused.dy, Tensor(), Tensor(), fused.mean, fused.rstd, fused.mask, training, {},
                              none, none, alone);
  CHECK(bit_equal(alone, apart.dbeta));
}

TEST_CASE("batch norm with a ReLU passes what a ReLU passes", "[batch_norm]") {
  const Shape shape = GENERATE(Shape{2, 1, 2, 12}, Shape{3, 1, 3, 5});
  Fixture f(shape, DType::f32);
  f.relu = true;
  f.mask = Tensor({(shape.numel() + 7) / 8}, DType::u8);
  kernel::fill(f.gamma, -1);
  kernel::fill(f.beta, 0);
  kernel::fill(f.mean, 0);
  kernel::fill(f.rstd, 1);
  kernel::fill(f.x, -2);
  const auto x = f.x.mutable_values<float>();
  x[1] = NAN;
  x[2] = 0;
  x[3] = 1;          // -1
  x[20] = INFINITY;  // -inf
  kernel::batch_norm_normalize(f.x, f.mean, f.rstd, f.gamma, f.beta, f.relu, f.y, f.mask);
  const auto y = f.y.values<float>();
  CHECK(y[0] == 2);
  CHECK(std::isnan(y[1]));
  CHECK(y[2] == 0);
  CHECK(y[3] == 0);
  CHECK(y[20] == 0);
  CHECK(f.mask.values<std::uint8_t>()[0] == 0b11110011);
  CHECK(f.mask.values<std::uint8_t>()[2] == 0b11101111);
  kernel::fill(f.dy, INFINITY);
  f.backward(false);
  for (const std::size_t i : {0, 1}) CHECK(f.dx.values<float>()[i] == -INFINITY);
  for (const std::size_t i : {2, 3, 20}) CHECK(f.dx.values<float>()[i] == 0);
}
