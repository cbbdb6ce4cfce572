#include "../support/catch.h"
#include "../support/random_tensor.h"

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

/// The bf16 number next to x above 0, found by comparing distances; of two, the one with an even last bit.
std::uint16_t nearest(double x) {
  std::uint16_t best = 0;
  double least = std::abs(static_cast<double>(BFloat16::from_bits(0)) - x);
  for (std::uint32_t b = 1; b < 0x7f80; ++b) {
    const auto candidate = static_cast<std::uint16_t>(b);
    const double error = std::abs(static_cast<double>(BFloat16::from_bits(candidate)) - x);
    if (error < least || (error == least && candidate % 2 == 0)) {
      best = candidate;
      least = error;
    }
  }
  return best;
}

Tensor in_bf16(const Shape& shape, std::uint64_t seed) { return random_tensor(shape, DType::bf16, seed); }
Tensor wide(const Tensor& x) { return x.to(DType::f32, Tag::data); }
Tensor rounded(const Tensor& x) { return x.to(DType::bf16, Tag::data); }

}  // namespace

TEST_CASE("bf16: every number goes to float and double and back", "[bfloat16]") {
  bool same = true;
  for (std::uint32_t b = 0; b <= 0xffff; ++b) {
    const BFloat16 x = BFloat16::from_bits(static_cast<std::uint16_t>(b));
    const float f = x;
    if (std::isnan(f))
      same = same && std::isnan(static_cast<float>(BFloat16(f))) &&
             std::isnan(static_cast<float>(BFloat16(static_cast<double>(f))));
    else
      same = same && bits(f) == b && bits(static_cast<double>(f)) == b;
  }
  CHECK(same);
}

TEST_CASE("bf16: numbers round to the nearest, ties to even", "[bfloat16]") {
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
    CHECK(bits(x) == nearest(x));
  }
  for (const float nan : {std::nanf(""), -std::nanf("")})
    CHECK(std::isnan(static_cast<float>(BFloat16(nan))));
  // a NaN whose bits stand below the ones that are kept, and one whose rounding would carry into the sign
  CHECK(std::isnan(static_cast<float>(BFloat16(std::bit_cast<float>(0x7f800001U)))));
  CHECK(std::isnan(static_cast<float>(BFloat16(std::bit_cast<float>(0x7fffffffU)))));
}

TEST_CASE("bf16: a double is rounded once", "[bfloat16]") {
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

TEST_CASE("bf16 tensors: conversion, printing, elements", "[bfloat16]") {
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

TEST_CASE("bf16 kernels compute in f32 and round once", "[bfloat16]") {
  const Tensor a = in_bf16({37, 1001}, 1);
  const Tensor b = in_bf16({37, 1001}, 2);
  Tensor got({37, 1001}, DType::bf16);
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
  CHECK(bit_equal(got, rounded(exact)));
}

TEST_CASE("bf16 sums and products are exact up to the last rounding", "[bfloat16]") {
  SECTION("a sum of many ones, which bf16 itself would stop at 256") {
    Tensor sum({1}, DType::bf16);
    kernel::sum_to(Tensor::full({100000}, 1, DType::bf16), sum);
    CHECK(sum.item() == 99840);  // the nearest
  }
  SECTION("matmul") {
    Tensor got({33, 65}, DType::bf16);
    Tensor exact({33, 65}, DType::f32);
    const Tensor a = in_bf16({33, 300}, 1);
    const Tensor b = in_bf16({300, 65}, 2);
    kernel::matmul(a, b, {}, got);
    kernel::matmul(wide(a), wide(b), {}, exact);
    CHECK(bit_equal(got, rounded(exact)));
  }
  SECTION("max_pool2d_backward, whose windows overlap") {
    const Tensor x = in_bf16({2, 3, 9, 9}, 1);
    const Pool2dOptions options{.kernel = 3, .stride = 1};
    const Shape shape = pool2d_shape("max_pool2d", x.shape(), options);
    Tensor y(shape, DType::bf16);
    Tensor indices(shape, DType::i32);
    kernel::max_pool2d(x, options, y, indices);
    const Tensor dy = in_bf16(shape, 3);
    Tensor got = like(x);
    Tensor exact = like(wide(x));
    kernel::max_pool2d_backward(dy, indices, options, got);
    kernel::max_pool2d_backward(wide(dy), indices, options, exact);
    CHECK(bit_equal(got, rounded(exact)));
  }
}

TEST_CASE("bf16 convolutions compute in f32, a few images at a time", "[bfloat16][conv2d]") {
  const Conv2dOptions same{.padding = 1};
  const auto run = [&](const Shape& x_shape, const Shape& w_shape, const Conv2dOptions& options) {
    const Tensor x = in_bf16(x_shape, 1);
    const Tensor w = in_bf16(w_shape, 2);
    const Tensor bias = in_bf16({w_shape[0]}, 3);
    const Shape shape = conv2d_shape(x_shape, w_shape, options);
    const Tensor dy = in_bf16(shape, 4);
    Tensor y(shape, DType::bf16), dx = like(x), dw = like(w);
    Tensor y_exact(shape, DType::f32), dx_exact = like(wide(x)), dw_exact = like(wide(w));
    kernel::conv2d(wide(x), wide(w), wide(bias), options, {}, y_exact);
    kernel::conv2d_backward_data(wide(dy), wide(w), options, dx_exact);
    kernel::conv2d_backward_weight(wide(dy), wide(x), options, dw_exact);
    const Counter workspace(Tag::workspace);
    kernel::conv2d(x, w, bias, options, {}, y);
    kernel::conv2d_backward_data(dy, w, options, dx);
    kernel::conv2d_backward_weight(dy, x, options, dw);
    CHECK(bit_equal(y, rounded(y_exact)));
    CHECK(bit_equal(dx, rounded(dx_exact)));
    CHECK(relative_error(dw, dw_exact.to_vector<double>()) < 0x1p-8);  // sums of another order
    return workspace.peak();
  };
  run({3, 4, 8, 8}, {6, 4, 3, 3}, same);
  run({3, 4, 9, 7}, {6, 2, 3, 1}, {.stride = 2, .padding = {1, 0}, .groups = 2});
  const std::int64_t once = run({8, 16, 64, 64}, {16, 16, 3, 3}, same);
  CHECK(run({21, 16, 64, 64}, {16, 16, 3, 3}, same) == once);
}
