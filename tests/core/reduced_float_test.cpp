#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/rounding.h"

#include <retrace/core/kernels.h>
#include <retrace/core/memory.h>

#include <bit>
#include <cmath>
#include <limits>

using namespace retrace;
using namespace retrace::test;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::uint16_t bits(double value) { return BFloat16(value).bits(); }
std::uint16_t bits(float value) { return BFloat16(value).bits(); }

std::uint16_t half_bits(double value) { return Float16(value).bits(); }
std::uint16_t half_bits(float value) { return Float16(value).bits(); }

/// The number of type T next to x above 0, found by comparing distances; of two, the one with an even last
/// bit.
template <class T>
std::uint16_t nearest(double x) {
  std::uint16_t best = 0;
  double least = std::abs(x);
  for (std::uint32_t b = 1; b < T(kInfinity).bits(); ++b) {
    const auto candidate = static_cast<std::uint16_t>(b);
    const double error = std::abs(static_cast<double>(T::from_bits(candidate)) - x);
    if (error < least || (error == least && candidate % 2 == 0)) {
      best = candidate;
      least = error;
    }
  }
  return best;
}

Tensor wide(const Tensor& x) { return x.to(DType::f32, Tag::data); }

/// Makes and rounds tensors of one of the two types.
struct Reduced {
  DType dtype;
  Tensor random(const Shape& shape, std::uint64_t seed) const { return random_tensor(shape, dtype, seed); }
  Tensor rounded(const Tensor& x) const { return x.to(dtype, Tag::data); }
};
Reduced each_type() {
  const DType dtype = GENERATE(DType::bf16, DType::f16);
  UNSCOPED_INFO(name_of(dtype));
  return {dtype};
}

}  // namespace

TEMPLATE_TEST_CASE("every number of two bytes goes to float and double and back", "[reduced_float]", BFloat16,
                   Float16) {
  bool same = true;
  for (std::uint32_t b = 0; b <= 0xffff; ++b) {
    const TestType x = TestType::from_bits(static_cast<std::uint16_t>(b));
    const float f = x;
    if (std::isnan(f))
      same = same && std::isnan(static_cast<float>(TestType(f))) &&
             std::isnan(static_cast<float>(TestType(static_cast<double>(f))));
    else
      same = same && TestType(f).bits() == b && TestType(static_cast<double>(f)).bits() == b;
  }
  CHECK(same);
}

TEST_CASE("bf16: numbers round to the nearest, ties to even", "[reduced_float]") {
  CHECK(bits(1.0F) == 0x3f80);
  CHECK(bits(1.0F + 0x1p-8F) == 0x3f80);             // a tie, down to even
  CHECK(bits(1.0F + 0x3p-8F) == 0x3f82);             // a tie, up to even
  CHECK(bits(1.0F + 0x1p-8F + 0x1p-23F) == 0x3f81);  // just above one
  CHECK(bits(-1.0F - 0x1p-8F - 0x1p-23F) == 0xbf81);
  CHECK(bits(-0.0F) == 0x8000);
  CHECK(bits(3.4e38F) == 0x7f80);  // beyond the largest: infinity
  CHECK(bits(0x1.fep127F) == 0x7f7f);
  CHECK(bits(kInfinity) == 0x7f80);
  CHECK(bits(-kInfinity) == 0xff80);
  CHECK(bits(0x1p-133F) == 0x0001);  // the smallest above 0
  CHECK(bits(0x1p-134F) == 0x0000);
  for (std::uint64_t i = 0; i < 40; ++i) {
    const RandomStream stream{.seed = 3, .stream = 1};
    const float x = std::ldexp(1 + uniform_at(stream, i), static_cast<int>(i * 6) - 132);
    INFO(x);
    CHECK(bits(x) == nearest<BFloat16>(x));
  }
  for (const float nan : {std::nanf(""), -std::nanf("")})
    CHECK(std::isnan(static_cast<float>(BFloat16(nan))));
  // a NaN whose bits stand below the ones that are kept, and one whose rounding would carry into the sign
  CHECK(std::isnan(static_cast<float>(BFloat16(std::bit_cast<float>(0x7f800001U)))));
  CHECK(std::isnan(static_cast<float>(BFloat16(std::bit_cast<float>(0x7fffffffU)))));
}

TEST_CASE("bf16: a double is rounded once", "[reduced_float]") {
  CHECK(bits(1 + 0x1p-8) == 0x3f80);
  CHECK(bits(1 + 0x1p-8 + 0x1p-40) == 0x3f81);  // through a float it would be a tie
  CHECK(bits(1 + 0x3p-8 - 0x1p-40) == 0x3f81);
  CHECK(bits(-1 - 0x1p-8 - 0x1p-40) == 0xbf81);
  CHECK(bits(1e300) == 0x7f80);
  CHECK(bits(-1e300) == 0xff80);
  CHECK(bits(1e-300) == 0x0000);
  CHECK(bits(-1e-300) == 0x8000);
  CHECK(bits(0x1p-134 + 0x1p-180) == 0x0001);
  CHECK(bits(std::numeric_limits<double>::infinity()) == 0x7f80);
  CHECK(std::isnan(static_cast<float>(BFloat16(std::nan("")))));
  CHECK(static_cast<float>(BFloat16(257)) == 256);
  CHECK(static_cast<float>(BFloat16(std::int64_t{-3})) == -3);
}

TEST_CASE("f16: numbers are those of IEEE 754", "[reduced_float]") {
  const auto value = [](std::uint16_t b) { return static_cast<float>(Float16::from_bits(b)); };
  CHECK(value(0x3c00) == 1);
  CHECK(value(0xc100) == -2.5F);
  CHECK(value(0x7bff) == 65504);
  CHECK(value(0x0400) == 0x1p-14F);
  CHECK(value(0x03ff) == 1023 * 0x1p-24F);
  CHECK(value(0x0001) == 0x1p-24F);
  CHECK(std::signbit(value(0x8000)));
  CHECK(value(0x7c00) == kInfinity);
  CHECK(value(0xfc00) == -kInfinity);
  CHECK(std::isnan(value(0x7c01)));
  CHECK(std::isnan(value(0xffff)));
}

TEST_CASE("f16: numbers round to the nearest, ties to even", "[reduced_float]") {
  CHECK(half_bits(1.0F) == 0x3c00);
  CHECK(half_bits(1.0F + 0x1p-11F) == 0x3c00);  // a tie, down to even
  CHECK(half_bits(1.0F + 0x3p-11F) == 0x3c02);  // a tie, up to even
  CHECK(half_bits(-1.0F - 0x1p-11F - 0x1p-23F) == 0xbc01);
  CHECK(half_bits(65519.996F) == 0x7bff);
  CHECK(half_bits(65520.0F) == 0x7c00);  // nearer to 2^16, which is infinity
  CHECK(half_bits(-1e30F) == 0xfc00);
  CHECK(half_bits(0x1p-25F) == 0x0000);  // a tie between 0 and the smallest
  CHECK(half_bits(0x1.000002p-25F) == 0x0001);
  CHECK(half_bits(0x3p-25F) == 0x0002);
  CHECK(half_bits(-0x1.ffbffep-15F) == 0x83ff);
  CHECK(half_bits(-0x1.ffcp-15F) == 0x8400);  // a tie, up to the smallest normal number
  CHECK(half_bits(-0.0F) == 0x8000);
  CHECK(half_bits(1e-40F) == 0x0000);
  for (std::uint64_t i = 0; i < 40; ++i) {
    const RandomStream stream{.seed = 3, .stream = 1};
    const float x = std::ldexp(1 + uniform_at(stream, i), static_cast<int>(i) - 25);
    INFO(x);
    CHECK(half_bits(x) == nearest<Float16>(x));
  }
  CHECK(half_bits(1 + 0x1p-11 + 0x1p-40) == 0x3c01);  // through a float it would be a tie
  CHECK(half_bits(0x1p-25 + 0x1p-70) == 0x0001);
  CHECK(half_bits(65520 - 0x1p-30) == 0x7bff);
  CHECK(std::isnan(static_cast<float>(Float16(std::bit_cast<float>(0x7f800001U)))));
  CHECK(std::isnan(static_cast<float>(Float16(std::bit_cast<float>(0xffffffffU)))));
}

TEST_CASE("f16 tensors: conversion, printing, elements", "[reduced_float]") {
  const Tensor x = Tensor::from<double>({1.0009765625, -2, 0.1, 70000}, {4}).to(DType::f16, Tag::data);
  CHECK(x.bytes() == 8);
  CHECK(x.to_vector<double>() == std::vector<double>{1.0009765625, -2, 0.0999755859375, kInfinity});
  CHECK(to_string(x) == "tensor([1.00098, -2, 0.0999756, inf], f16)");
  CHECK(x.values<Float16>()[1].bits() == 0xc000);
  const Tensor brain = Tensor::from<double>({1, -2.5}, {2}).to(DType::bf16, Tag::data);
  CHECK(brain.to(DType::f16, Tag::data).to_vector<double>() == std::vector<double>{1, -2.5});
}

TEST_CASE("bf16 tensors: conversion, printing, elements", "[reduced_float]") {
  const Tensor x = Tensor::from<double>({1.00390625, -2, 0.1, 70000}, {4}).to(DType::bf16, Tag::data);
  CHECK(x.bytes() == 8);
  CHECK(x.to_vector<double>() == std::vector<double>{1, -2, 0.10009765625, 70144});
  CHECK(to_string(x) == "tensor([1, -2, 0.100098, 70144], bf16)");
  CHECK(Tensor::full({2}, 0.1, DType::bf16).to_vector<float>() ==
        std::vector<float>{0.10009765625F, 0.10009765625F});
  CHECK(Tensor::from<std::int64_t>({3}, {1}).to(DType::bf16, Tag::data).item() == 3);
  CHECK(x.values<BFloat16>()[1].bits() == 0xc000);
  Tensor y({4}, DType::f32);
  kernel::cast(x, y);
  CHECK(bit_equal(y, wide(x)));
  Tensor back({4}, DType::bf16);
  kernel::cast(y, back);
  CHECK(bit_equal(back, x));
}

TEST_CASE("kernels on bf16 and f16 compute in f32 and round once", "[reduced_float]") {
  const Reduced type = each_type();
  const Tensor a = type.random({37, 1001}, 1);
  const Tensor b = type.random({37, 1001}, 2);
  Tensor got({37, 1001}, type.dtype);
  Tensor exact({37, 1001}, DType::f32);
  Tensor none;
  SECTION("mul") {
    kernel::mul(a, b, got);
    kernel::mul(wide(a), wide(b), exact);
  }
  SECTION("scale_shift") {
    kernel::scale_shift(a, 1.7, 0.3, got);
    kernel::scale_shift(wide(a), 1.7, 0.3, exact);
  }
  SECTION("tanh") {
    kernel::tanh(a, got);
    kernel::tanh(wide(a), exact);
  }
  SECTION("leaky_relu") {
    kernel::leaky_relu(a, 0.2, got, none);
    kernel::leaky_relu(wide(a), 0.2, exact, none);
  }
  SECTION("dropout") {
    kernel::dropout(a, {.seed = 1, .stream = 2}, 0.3, got);
    kernel::dropout(wide(a), {.seed = 1, .stream = 2}, 0.3, exact);
  }
  CHECK(bit_equal(got, type.rounded(exact)));
}

TEST_CASE("sums and products of bf16 and f16 are exact up to the last rounding", "[reduced_float]") {
  const Reduced type = each_type();
  SECTION("a sum of many ones, which bf16 itself would stop at 256 and f16 at 2048") {
    Tensor sum({1}, type.dtype);
    kernel::sum_to(Tensor::full({50001}, 1, type.dtype), 1, sum);
    CHECK(sum.item() == (type.dtype == DType::bf16 ? 49920 : 50016));  // the nearest
  }
  SECTION("the mean of numbers whose sum f16 does not hold") {
    Tensor mean({1}, type.dtype);
    kernel::sum_to(Tensor::full({1000}, 1000, type.dtype), 1000, mean);
    CHECK(mean.item() == 1000);
  }
  SECTION("matmul") {
    Tensor got({33, 65}, type.dtype);
    Tensor exact({33, 65}, DType::f32);
    const Tensor a = type.random({33, 300}, 1);
    const Tensor b = type.random({300, 65}, 2);
    kernel::matmul(a, b, Tensor(), {}, got);
    kernel::matmul(wide(a), wide(b), Tensor(), {}, exact);
    CHECK(bit_equal(got, type.rounded(exact)));
  }
  SECTION("max_pool2d_backward, whose windows overlap") {
    const Tensor x = type.random({2, 3, 9, 9}, 1);
    const Pool2dOptions options{.kernel = 3, .stride = 1};
    const Shape shape = pool2d_shape("max_pool2d", x.shape(), options);
    Tensor y(shape, type.dtype);
    Tensor indices(shape, DType::i32);
    kernel::max_pool2d(x, options, y, indices);
    const Tensor dy = type.random(shape, 3);
    Tensor got = like(x);
    Tensor exact = like(wide(x));
    kernel::max_pool2d_backward(dy, indices, options, got);
    kernel::max_pool2d_backward(wide(dy), indices, options, exact);
    CHECK(bit_equal(got, type.rounded(exact)));
  }
}

TEST_CASE("convolutions of bf16 and f16 compute in f32, a few images at a time", "[reduced_float][conv2d]") {
  const Reduced type = each_type();
  const Conv2dOptions same{.padding = 1};
  const auto run = [&](const Shape& x_shape, const Shape& w_shape, const Conv2dOptions& options) {
    const Tensor x = type.random(x_shape, 1);
    const Tensor w = type.random(w_shape, 2);
    const Tensor bias = type.random({w_shape[0]}, 3);
    const Shape shape = conv2d_shape(x_shape, w_shape, options);
    const Tensor dy = type.random(shape, 4);
    Tensor y(shape, type.dtype), dx = like(x), dw = like(w);
    Tensor y_exact(shape, DType::f32), dx_exact = like(wide(x)), dw_exact = like(wide(w));
    kernel::conv2d(wide(x), wide(w), wide(bias), options, {}, y_exact);
    kernel::conv2d_backward_data(wide(dy), wide(w), options, {}, dx_exact);
    kernel::conv2d_backward_weight(wide(dy), wide(x), options, dw_exact);
    const Counter workspace(Tag::workspace);
    kernel::conv2d(x, w, bias, options, {}, y);
    kernel::conv2d_backward_data(dy, w, options, {}, dx);
    kernel::conv2d_backward_weight(dy, x, options, dw);
    CHECK(bit_equal(y, type.rounded(y_exact)));
    CHECK(bit_equal(dx, type.rounded(dx_exact)));
    CHECK(roundings(dw, dw_exact) <= 1.5);  // one, and less than half of one for f32's sums of another order
    return workspace.peak();
  };
  run({3, 4, 8, 8}, {6, 4, 3, 3}, same);
  run({3, 4, 9, 7}, {6, 2, 3, 1}, {.stride = 2, .padding = {1, 0}, .groups = 2});
  const std::int64_t twice = run({16, 16, 64, 64}, {16, 16, 3, 3}, same);  // 8 images and 8
  CHECK(run({21, 16, 64, 64}, {16, 16, 3, 3}, same) == twice);
}
