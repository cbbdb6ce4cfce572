#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/rounding.h"

#include <retrace/core/kernels.h>

#include <cmath>

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

/// The same by the book, in double. Deviations from the mean are what is added, as in the kernel, so an
/// offset of all values costs nothing.
struct Reference {
  explicit Reference(const Fixture& f, bool training = true) {
    const Shape shape = f.x.shape();
    const auto channels = static_cast<std::size_t>(shape[1]);
    const auto plane = static_cast<std::size_t>(shape.numel_after(1));
    const std::vector<double> x = f.x.to_vector<double>();
    const std::vector<double> dy = f.dy.to_vector<double>();
    const Rounded n{static_cast<double>(x.size() / channels)};
    const auto each = [&](const auto& g) {
      for (std::size_t i = 0; i < x.size(); ++i) g(i, i / plane % channels);
    };
    std::vector<double> center(channels);
    std::vector<RoundedSum> first(channels), second(channels), products(channels), gradients(channels);
    each([&](std::size_t i, std::size_t c) { center[c] += x[i] / n.value; });
    each([&](std::size_t i, std::size_t c) {
      const Rounded deviation = Rounded{x[i]} - Rounded{center[c]};
      first[c] += deviation;
      second[c] += deviation * deviation;
    });
    for (std::size_t c = 0; c < channels; ++c) {
      mean.push_back(Rounded{center[c]} + first[c] / n);
      var.push_back(second[c] / n);
    }
    if (!training) {
      mean = exact(f.running_mean);
      var = exact(f.running_var);
    }
    for (const Rounded& v : var) rstd.push_back(Rounded{1} / sqrt(v + Rounded{kEps}));
    const std::vector<Rounded> gamma = exact(f.gamma);
    const std::vector<Rounded> beta = exact(f.beta);
    each([&](std::size_t i, std::size_t c) {
      const Rounded normalized = (Rounded{x[i]} - mean[c]) * rstd[c];
      y.push_back(gamma[c] * normalized + beta[c]);
      products[c] += Rounded{dy[i]} * normalized;
      gradients[c] += Rounded{dy[i]};
    });
    dgamma.assign(products.begin(), products.end());
    dbeta.assign(gradients.begin(), gradients.end());
    each([&](std::size_t i, std::size_t c) {
      const Rounded through_statistics =
          training ? dbeta[c] / n + (Rounded{x[i]} - mean[c]) * rstd[c] * dgamma[c] / n : Rounded{};
      dx.push_back(gamma[c] * rstd[c] * (Rounded{dy[i]} - through_statistics));
    });
  }

  std::vector<Rounded> mean, var, rstd, y, dx, dgamma, dbeta;

 private:
  static std::vector<Rounded> exact(const Tensor& x) {
    std::vector<Rounded> numbers;
    for (const double v : x.to_vector<double>()) numbers.push_back({v});
    return numbers;
  }
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
  CHECK(part_of_allowed(f.mean, expected.mean) <= 1);
  CHECK(part_of_allowed(f.rstd, expected.rstd) <= 1);
  CHECK(part_of_allowed(f.y, expected.y) <= 1);
  CHECK(part_of_allowed(f.dgamma, expected.dgamma) <= 1);
  CHECK(part_of_allowed(f.dbeta, expected.dbeta) <= 1);
  CHECK(part_of_allowed(f.dx, expected.dx) <= 1);

  const double n = static_cast<double>(shape.numel() / shape[1]);
  std::vector<Rounded> running_mean;
  std::vector<Rounded> running_var;
  for (std::size_t c = 0; c < expected.mean.size(); ++c) {
    running_mean.push_back(Rounded{0.75} * Rounded{old_mean[c]} + Rounded{0.25} * expected.mean[c]);
    running_var.push_back(Rounded{0.75} * Rounded{2} +
                          Rounded{0.25} * expected.var[c] * Rounded{n} / Rounded{n - 1});
  }
  CHECK(part_of_allowed(f.running_mean, running_mean) <= 1);
  CHECK(part_of_allowed(f.running_var, running_var) <= 1);
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
  CHECK(part_of_allowed(f.y, expected.y) <= 1);
  CHECK(part_of_allowed(f.dx, expected.dx) <= 1);
  CHECK(part_of_allowed(f.dgamma, expected.dgamma) <= 1);
  CHECK(part_of_allowed(f.dbeta, expected.dbeta) <= 1);
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
  CHECK(part_of_allowed(f.rstd, Reference(f).rstd) <= 1);
}

TEST_CASE("batch norm's variance bears a first image unlike the others", "[batch_norm]") {
  const Shape shape = GENERATE(Shape{100, 2, 4, 4}, Shape{100, 2, 16, 16}, Shape{1000, 3});
  CAPTURE(shape);
  Fixture f(shape, DType::f32);
  for (float& v : f.x.mutable_values<float>().first(static_cast<std::size_t>(shape.numel() / shape[0])))
    v += 1e4F;
  f.forward();
  // Deviations are from the mean of the first 256 values or of the first image, at most sqrt(n / 256)
  // standard deviations from that of all: squares are up to n / 256 times the variance, and here deviations
  // up to n / 256 times the mean. Pieces of 4096 terms are added in 8 lanes or more, each of three roundings.
  const double growth = static_cast<double>(shape.numel() / shape[1]) / 256;
  const double of_a_sum = 3 + 4 * std::sqrt(4096 / 8);
  const Reference expected(f);
  const auto values_of = [](const std::vector<Rounded>& numbers) {
    std::vector<double> values;
    for (const Rounded& number : numbers) values.push_back(number.value);
    return values;
  };
  CHECK(roundings(f.mean, values_of(expected.mean)) <= growth * of_a_sum);
  CHECK(roundings(f.rstd, values_of(expected.rstd)) <= growth * of_a_sum / 2);
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
