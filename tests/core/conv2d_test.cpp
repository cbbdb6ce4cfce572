#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/rounding.h"
#include "conv2d_reference.h"

#include <retrace/core/cpu/conv2d_traffic.h>
#include <retrace/core/kernels.h>
#include <retrace/core/memory.h>

#include <utility>

using namespace retrace;
using namespace retrace::test;

namespace {

using Case = Conv2dCase;

/// How much more Winograd's algorithms round than the sum of the products. For one dimension let A, B and G
/// be the matrices of Y = A^T [(G w) * (B^T d)], of rows a, b and g: independent roundings grow by sum_i
/// a_ki^2 |b_i|^2 |g_i|^2 / 3 for output k, where the sum has 3 products. For two, the standard deviation
/// grows by as much. It is largest, 7.1, for the outer outputs of F(4, 3); F(4, 2) has 4.7, and the gradients
/// of filters have less.
constexpr double kWinogradGrowth = 7.125;

double growth(const Case& c, DType dtype) {
  const bool many = std::min(c.w[0], c.w[1]) >= 8 && c.w[2] == 3 && c.w[3] == 3;  // Winograd takes no fewer
  return dtype == DType::f32 && many && c.options.algorithm == Conv2dAlgorithm::automatic ? kWinogradGrowth
                                                                                          : 1;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {{1, 1, 1, 1}, {1, 1, 1, 1}},
      {{2, 3, 5, 7}, {4, 3, 1, 1}},
      {{2, 6, 5, 4}, {4, 3, 1, 1}, {.groups = 2}},
      {{2, 3, 5, 7}, {4, 3, 1, 1}, {.stride = 2}},
      {{2, 3, 5, 7}, {4, 3, 1, 1}, {.padding = 1}},
      {{2, 3, 9, 8}, {5, 3, 3, 3}},
      {{3, 5, 9, 7}, {7, 5, 3, 3}, {.stride = 2, .padding = 1}},
      {{1, 2, 11, 6}, {3, 2, 5, 2}, {.stride = {3, 1}, .padding = {2, 1}}},
      {{2, 4, 10, 9}, {6, 2, 3, 3}, {.padding = 2, .dilation = 2, .groups = 2}},
      {{2, 4, 6, 6}, {4, 1, 3, 3}, {.padding = 1, .groups = 4}},
      {{2, 2, 4, 4}, {3, 2, 3, 3}, {.stride = 4, .padding = 4}},
      {{2, 2, 3, 3}, {2, 2, 7, 7}, {.padding = 3}},
      {{2, 3, 12, 5}, {2, 3, 2, 4}, {.stride = {1, 2}, .padding = {0, 3}, .dilation = {3, 1}}},
      {{2, 60, 40, 40}, {3, 60, 3, 3}, {.stride = 1, .padding = 0}},
      // 3 x 3 with stride 1 and padding 1, the filters of residual networks
      {{1, 1, 1, 1}, {1, 1, 3, 3}, {.padding = 1}},
      {{2, 3, 32, 32}, {16, 3, 3, 3}, {.padding = 1}},
      {{2, 16, 32, 32}, {16, 16, 3, 3}, {.padding = 1}},
      {{3, 32, 16, 16}, {32, 32, 3, 3}, {.padding = 1}},
      {{5, 20, 8, 8}, {13, 20, 3, 3}, {.padding = 1}},
      {{1, 56, 8, 8}, {56, 56, 3, 3}, {.padding = 1}},
      {{2, 7, 8, 8}, {5, 7, 3, 3}, {.padding = 1}},
      {{2, 5, 4, 4}, {9, 5, 3, 3}, {.padding = 1}},
      {{3, 4, 2, 2}, {4, 4, 3, 3}, {.padding = 1}},
      {{2, 3, 7, 9}, {4, 3, 3, 3}, {.padding = 1}},
      {{2, 3, 16, 8}, {6, 3, 3, 3}, {.padding = 1}},
      {{2, 3, 3, 64}, {6, 3, 3, 3}, {.padding = 1}},
      {{2, 18, 14, 14}, {17, 18, 3, 3}, {.padding = 1}},
      {{1, 2, 5, 28}, {33, 2, 3, 3}, {.padding = 1}},
      {{1, 40, 45, 200}, {2, 40, 3, 3}, {.padding = 1}},  // in strips of rows
      // planes of whole tiles of 4 x 4 with 8 channels or more, in f32, and some just beside it
      {{4, 8, 8, 8}, {8, 8, 3, 3}, {.padding = 1}},
      {{5, 17, 8, 8}, {56, 17, 3, 3}, {.padding = 1}},
      {{9, 8, 12, 8}, {11, 8, 3, 3}, {.padding = 1}},
      {{1, 9, 36, 8}, {10, 9, 3, 3}, {.padding = 1}},
      {{5, 16, 4, 16}, {16, 16, 3, 3}, {.padding = 1}},
      {{1, 17, 12, 32}, {16, 17, 3, 3}, {.padding = 1}},
      {{1, 8, 8, 64}, {23, 8, 3, 3}, {.padding = 1}},
      {{1, 8, 8, 128}, {9, 8, 3, 3}, {.padding = 1}},
      {{17, 8, 4, 4}, {8, 8, 3, 3}, {.padding = 1}},
      {{3, 9, 12, 12}, {8, 9, 3, 3}, {.padding = 1}},
      {{3, 8, 10, 16}, {8, 8, 3, 3}, {.padding = 1}},
      {{2, 7, 16, 16}, {8, 7, 3, 3}, {.padding = 1}},
      {{2, 130, 16, 16}, {40, 130, 3, 3}, {.padding = 1}},
      {{3, 9, 16, 16}, {8, 9, 3, 3}, {.padding = 1, .algorithm = Conv2dAlgorithm::direct}},
      {{2, 6, 8, 8}, {6, 3, 3, 3}, {.padding = 1, .groups = 2}},
      // 1 x 1 without padding: the planes fill tiles of pixels or leave a part of the last one empty
      {{1, 1, 8, 8}, {1, 1, 1, 1}},
      {{3, 17, 8, 8}, {13, 17, 1, 1}},
      {{1, 11, 13, 15}, {17, 11, 1, 1}},
      {{3, 16, 16, 16}, {64, 16, 1, 1}},
      {{2, 256, 8, 8}, {64, 256, 1, 1}},
      {{1, 96, 29, 41}, {9, 96, 1, 1}},  // in strips of rows
      {{1, 40, 3, 260}, {13, 40, 1, 1}},
      {{2, 32, 4, 4}, {32, 32, 1, 1}},
      {{3, 16, 16, 16}, {32, 16, 1, 1}, {.stride = 2}},
      {{1, 11, 25, 29}, {17, 11, 1, 1}, {.stride = 2}},
      {{1, 96, 51, 62}, {8, 96, 1, 1}, {.stride = 2}},
      {{2, 10, 33, 20}, {36, 10, 1, 1}, {.stride = {3, 2}}},
      {{2, 33, 32, 8}, {40, 33, 1, 1}, {.stride = {4, 1}}},
      {{3, 20, 33, 63}, {33, 20, 1, 1}, {.stride = 2}},
      {{2, 16, 32, 32}, {32, 16, 1, 1}, {.stride = 2}},  // vectors of rows of every second pixel
      {{2, 9, 31, 96}, {41, 9, 1, 1}, {.stride = {3, 2}}},
      {{1, 35, 70, 64}, {35, 35, 1, 1}, {.stride = {1, 2}}},
      {{15, 100, 8, 8}, {90, 100, 1, 1}},  // more sums than 32 slots are given
      {{2, 90, 8, 9}, {101, 90, 1, 1}},
      {{2, 12, 29, 41}, {50, 12, 1, 1}},  // some pixels at a time
      {{1, 60, 26, 27}, {20, 60, 1, 1}},
      // 3 x 3 with stride 2 and padding 1
      {{2, 6, 8, 8}, {6, 6, 3, 3}, {.stride = 2, .padding = 1}},
      {{1, 1, 16, 16}, {4, 1, 3, 3}, {.stride = 2, .padding = 1}},
      {{3, 17, 16, 16}, {5, 17, 3, 3}, {.stride = 2, .padding = 1}},
      {{1, 5, 14, 22}, {17, 5, 3, 3}, {.stride = 2, .padding = 1}},
      {{1, 5, 34, 10}, {33, 5, 3, 3}, {.stride = 2, .padding = 1}},
      {{2, 3, 6, 64}, {16, 3, 3, 3}, {.stride = 2, .padding = 1}},
      {{1, 3, 15, 24}, {4, 3, 3, 3}, {.stride = 2, .padding = 1}},
      {{1, 40, 60, 130}, {6, 40, 3, 3}, {.stride = 2, .padding = 1}},  // in strips of rows
      {{2, 6, 32, 32}, {6, 3, 3, 3}, {.stride = 2, .padding = 1, .groups = 2}},
      {{2, 16, 32, 32}, {32, 16, 3, 3}, {.stride = 2, .padding = 1}},
      // outputs of whole tiles of 4 x 4 with 8 channels or more, in f32, and some just beside it
      {{4, 8, 16, 16}, {8, 8, 3, 3}, {.stride = 2, .padding = 1}},
      {{5, 17, 16, 16}, {77, 17, 3, 3}, {.stride = 2, .padding = 1}},
      {{3, 9, 72, 16}, {10, 9, 3, 3}, {.stride = 2, .padding = 1}},
      {{5, 16, 8, 32}, {14, 16, 3, 3}, {.stride = 2, .padding = 1}},  // blocks of 6, 4 and 4
      {{1, 17, 24, 64}, {33, 17, 3, 3}, {.stride = 2, .padding = 1}},
      {{1, 8, 16, 128}, {23, 8, 3, 3}, {.stride = 2, .padding = 1}},
      {{1, 8, 16, 256}, {9, 8, 3, 3}, {.stride = 2, .padding = 1}},
      {{17, 8, 8, 8}, {8, 8, 3, 3}, {.stride = 2, .padding = 1}},
      {{3, 9, 24, 24}, {8, 9, 3, 3}, {.stride = 2, .padding = 1}},
      {{3, 8, 20, 32}, {8, 8, 3, 3}, {.stride = 2, .padding = 1}},
      {{2, 7, 32, 32}, {8, 7, 3, 3}, {.stride = 2, .padding = 1}},
      {{1, 70, 16, 16}, {130, 70, 3, 3}, {.stride = 2, .padding = 1}},
      {{3, 9, 32, 32}, {8, 9, 3, 3}, {.stride = 2, .padding = 1, .algorithm = Conv2dAlgorithm::direct}},
  };
  return all;
}

struct Results {
  Tensor y, dx, dw;
};

Results run(const Case& c, const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& dy) {
  Results r{like(dy), like(x), like(w)};
  kernel::conv2d(x, w, bias, c.options, {}, r.y);
  kernel::conv2d_backward_data(dy, w, c.options, {}, r.dx);
  kernel::conv2d_backward_weight(dy, x, c.options, r.dw);
  return r;
}

/// While one exists, large results go past the caches.
struct PastCaches {
  bool was = std::exchange(cpu::fast_past_caches, true);
  ~PastCaches() { cpu::fast_past_caches = was; }
};

}  // namespace

TEST_CASE("conv2d and its derivatives are the sums of their products", "[conv2d]") {
  const Case& c = cases()[GENERATE(range(std::size_t{0}, cases().size()))];
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const Shape shape = conv2d_shape(c.x, c.w, c.options);
  CAPTURE(c.x, c.w, shape, name_of(dtype));
  const Tensor x = random_tensor(c.x, dtype, 1);
  const Tensor w = random_tensor(c.w, dtype, 2);
  const Tensor bias = random_tensor({c.w[0]}, dtype, 3);
  const Tensor dy = random_tensor(shape, dtype, 4);
  const Results r = run(c, x, w, bias, dy);

  const Conv2dSums sums(c, x, w, bias, dy);
  CHECK(part_of_allowed(r.y, sums.with_bias, growth(c, dtype)) <= 1);
  CHECK(part_of_allowed(r.dx, sums.dx, growth(c, dtype)) <= 1);
  CHECK(part_of_allowed(r.dw, sums.dw, growth(c, dtype)) <= 1);
  Tensor plain = like(dy);
  kernel::conv2d(x, w, Tensor(), c.options, {}, plain);
  CHECK(part_of_allowed(plain, sums.y, growth(c, dtype)) <= 1);
}

TEST_CASE("conv2d onto a residual has the bits of conv2d and a sum", "[conv2d]") {
  const Case& c = cases()[GENERATE(range(std::size_t{0}, cases().size()))];
  const DType dtype = GENERATE(DType::f32, DType::f64, DType::bf16);
  const Sign sign = GENERATE(Sign::plus, Sign::minus);
  const Shape shape = conv2d_shape(c.x, c.w, c.options);
  CAPTURE(c.x, c.w, name_of(dtype));
  const Tensor x = random_tensor(c.x, dtype, 1);
  const Tensor w = random_tensor(c.w, dtype, 2);
  const Tensor bias = random_tensor({c.w[0]}, dtype, 3);
  const Tensor residual = random_tensor(shape, dtype, 4);
  Tensor expected = like(residual);
  kernel::conv2d(x, w, bias, c.options, {}, expected);
  (sign == Sign::plus ? kernel::add : kernel::sub)(residual, expected, expected);

  Tensor y = like(residual);
  kernel::conv2d(x, w, bias, c.options, {residual, sign}, y);
  CHECK(bit_equal(y, expected));
  Tensor in_place = residual.clone(Tag::activation);
  kernel::conv2d(x, w, bias, c.options, {in_place, sign}, in_place);
  CHECK(bit_equal(in_place, expected));
}

TEST_CASE("conv2d's gradient of x onto a residual has the bits of itself and a sum", "[conv2d]") {
  const Case& c = cases()[GENERATE(range(std::size_t{0}, cases().size()))];
  const DType dtype = GENERATE(DType::f32, DType::f64, DType::bf16);
  const Sign sign = GENERATE(Sign::plus, Sign::minus);
  CAPTURE(c.x, c.w, name_of(dtype));
  const Tensor w = random_tensor(c.w, dtype, 2);
  const Tensor dy = random_tensor(conv2d_shape(c.x, c.w, c.options), dtype, 3);
  const Tensor residual = random_tensor(c.x, dtype, 4);
  Tensor expected = like(residual);
  kernel::conv2d_backward_data(dy, w, c.options, {}, expected);
  (sign == Sign::plus ? kernel::add : kernel::sub)(residual, expected, expected);

  Tensor dx = like(residual);
  kernel::conv2d_backward_data(dy, w, c.options, {residual, sign}, dx);
  CHECK(bit_equal(dx, expected));
  Tensor in_place = residual.clone(Tag::gradient);
  kernel::conv2d_backward_data(dy, w, c.options, {in_place, sign}, in_place);
  CHECK(bit_equal(in_place, expected));
}

TEST_CASE("conv2d writes nothing beyond its result", "[conv2d]") {
  const Case& c = cases()[GENERATE(range(std::size_t{0}, cases().size()))];
  const Shape y_shape = conv2d_shape(c.x, c.w, c.options);
  CAPTURE(c.x, c.w);
  // Each result is the middle row of three, between rows that must stay as they are; operands start at an odd
  // place.
  const auto framed = [](const Shape& shape) { return Tensor::full({3, shape.numel()}, 77, DType::f32); };
  const auto operand = [](const Shape& shape, std::uint64_t seed) {
    return random_tensor({shape.numel() + 1}, DType::f32, seed).slice(1, shape.numel() + 1).reshape(shape);
  };
  Tensor frames[3] = {framed(y_shape), framed(c.x), framed(c.w)};
  Tensor y = frames[0].slice(1, 2).reshape(y_shape);
  Tensor dx = frames[1].slice(1, 2).reshape(c.x);
  Tensor dw = frames[2].slice(1, 2).reshape(c.w);
  const Tensor x = operand(c.x, 1);
  const Tensor w = operand(c.w, 2);
  const Tensor dy = operand(y_shape, 3);
  kernel::conv2d(x, w, Tensor(), c.options, {}, y);
  kernel::conv2d_backward_data(dy, w, c.options, {}, dx);
  kernel::conv2d_backward_weight(dy, x, c.options, dw);
  for (const Tensor& frame : frames)
    for (const std::int64_t row : {0, 2})
      CHECK(bit_equal(frame.slice(row, row + 1), Tensor::full({1, frame.shape()[1]}, 77, DType::f32)));
  const Results aligned = run(c, x.clone(Tag::data), w.clone(Tag::data), Tensor(), dy.clone(Tag::data));
  CHECK(bit_equal(aligned.y, y.clone(Tag::data)));
  CHECK(bit_equal(aligned.dx, dx.clone(Tag::data)));
  CHECK(bit_equal(aligned.dw, dw.clone(Tag::data)));
}

TEST_CASE("conv2d of a batch whose results go past the caches equals that of its quarters", "[conv2d]") {
  const Case c = GENERATE(Case{{272, 8, 16, 16}, {24, 8, 1, 1}},  // each beyond 8 MiB, and a quarter is not
                          Case{{4, 8, 128, 272}, {8, 8, 1, 1}},   // in strips of rows
                          Case{{40, 16, 64, 64}, {8, 16, 1, 1}, {.stride = 2}},
                          Case{{4900, 1, 3, 16}, {8, 1, 3, 3}, {.padding = 1}},  // planes below a tile
                          Case{{8, 3, 112, 112}, {20, 3, 3, 3}, {.padding = 1}},
                          Case{{140, 8, 32, 32}, {8, 8, 3, 3}, {.padding = 1}},  // by tiles of 4 x 4, in f32
                          Case{{1000, 8, 8, 32}, {8, 8, 3, 3}, {.stride = 2, .padding = 1}});
  const DType dtype = GENERATE(DType::f32, DType::f64);
  const PastCaches on_every_processor;
  CAPTURE(c.x, c.w, name_of(dtype));
  const Tensor x = random_tensor(c.x, dtype, 1);
  const Tensor w = random_tensor(c.w, dtype, 2);
  const Tensor dy = random_tensor(conv2d_shape(c.x, c.w, c.options), dtype, 3);
  const auto onto = [&](const Tensor& inputs, const Tensor& residual) {
    Tensor y = like(residual);
    kernel::conv2d(inputs, w, Tensor(), c.options, {residual, Sign::minus}, y);
    return y;
  };
  const Results whole = run(c, x, w, Tensor(), dy);
  const Tensor sum = onto(x, dy);
  Tensor in_place = dy.clone(Tag::activation);
  kernel::conv2d(x, w, Tensor(), c.options, {in_place, Sign::minus}, in_place);
  CHECK(bit_equal(in_place, sum));
  for (std::int64_t begin = 0; begin < c.x[0]; begin += c.x[0] / 4) {
    const std::int64_t end = begin + c.x[0] / 4;
    const Results quarter = run(c, x.slice(begin, end), w, Tensor(), dy.slice(begin, end));
    CHECK(bit_equal(whole.y.slice(begin, end), quarter.y));
    CHECK(bit_equal(whole.dx.slice(begin, end), quarter.dx));
    CHECK(bit_equal(sum.slice(begin, end), onto(x.slice(begin, end), dy.slice(begin, end))));
  }
}

TEST_CASE("conv2d is bit-equal and takes the same workspace for any number of threads", "[conv2d]") {
  const Case c =
      GENERATE(Case{{37, 8, 8, 8}, {16, 8, 3, 3}, {.padding = 1}},
               Case{{5, 16, 16, 16}, {8, 16, 3, 3}, {.padding = 1}},
               Case{{61, 64, 8, 8}, {56, 64, 3, 3}, {.padding = 1}},
               Case{{5, 16, 16, 16}, {8, 16, 3, 3}, {.padding = 1, .algorithm = Conv2dAlgorithm::direct}},
               Case{{37, 8, 9, 7}, {12, 4, 3, 3}, {.stride = 2, .padding = 1, .groups = 2}},
               Case{{9, 8, 9, 7}, {12, 8, 1, 1}}, Case{{37, 8, 16, 16}, {12, 8, 1, 1}},
               Case{{37, 8, 16, 16}, {12, 8, 1, 1}, {.stride = 2}}, Case{{37, 96, 8, 8}, {96, 96, 1, 1}},
               Case{{37, 8, 16, 16}, {20, 8, 3, 3}, {.stride = 2, .padding = 1}},
               Case{{21, 8, 20, 16}, {20, 8, 3, 3}, {.stride = 2, .padding = 1}});
  const DType dtype = GENERATE(DType::f32, DType::f64);
  CAPTURE(c.x, c.w, name_of(dtype));
  const Tensor x = random_tensor(c.x, dtype, 1);
  const Tensor w = random_tensor(c.w, dtype, 2);
  const Tensor dy = random_tensor(conv2d_shape(c.x, c.w, c.options), dtype, 3);
  const auto check = [&](auto member) {
    std::vector<std::int64_t> workspace;
    CHECK(same_for_any_threads([&] {
      const Counter counter(Tag::workspace);
      const Tensor result = run(c, x, w, Tensor(), dy).*member;
      workspace.push_back(counter.peak());
      return result;
    }));
    CHECK(workspace == std::vector<std::int64_t>(3, workspace.front()));
  };
  check(&Results::y);
  check(&Results::dx);
  check(&Results::dw);
}

TEST_CASE("conv2d lets a NaN reach the outputs that see it and no others", "[conv2d]") {
  const Case c = GENERATE(Case{{1, 2, 8, 8}, {3, 2, 3, 3}, {.padding = 1}},
                          Case{{1, 2, 9, 9}, {3, 2, 3, 3}, {.padding = 1}});
  Tensor x = random_tensor(c.x, DType::f32, 1);
  const Tensor w = random_tensor(c.w, DType::f32, 2);
  x.mutable_values<float>()[static_cast<std::size_t>(3 * c.x[3])] = NAN;  // row 3, column 0 of channel 0
  Tensor y(conv2d_shape(c.x, c.w, c.options), DType::f32);
  kernel::conv2d(x, w, Tensor(), c.options, {}, y);
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const std::int64_t row = i / c.x[3] % c.x[2];
    const std::int64_t column = i % c.x[3];
    CHECK(std::isnan(y.values<float>()[static_cast<std::size_t>(i)]) ==
          (row >= 2 && row <= 4 && column <= 1));
  }
}

TEST_CASE("conv2d by tiles keeps a NaN in the tiles that see it", "[conv2d]") {
  const Case c{{5, 8, 8, 8}, {8, 8, 3, 3}, {.padding = 1}};
  Tensor x = random_tensor(c.x, DType::f32, 1);
  const Tensor w = random_tensor(c.w, DType::f32, 2);
  // image 2, row 3, column 7 of channel 0: beside it in memory begins row 4
  x.mutable_values<float>()[static_cast<std::size_t>(2 * c.x.numel_after(0) + 31)] = NAN;
  Tensor y(conv2d_shape(c.x, c.w, c.options), DType::f32);
  kernel::conv2d(x, w, Tensor(), c.options, {}, y);
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const bool image = i / y.shape().numel_after(0) == 2;
    const std::int64_t row = i / 8 % 8;
    const std::int64_t column = i % 8;
    const bool is_nan = std::isnan(y.values<float>()[static_cast<std::size_t>(i)]);
    if (image && row >= 2 && row <= 4 && column >= 6) CHECK(is_nan);
    if (!image || column < 4) CHECK_FALSE(is_nan);
  }
}

TEST_CASE("conv2d's direct algorithm confines a NaN to the outputs that read it", "[conv2d]") {
  const Case c{{1, 16, 32, 32}, {16, 16, 3, 3}, {.padding = 1, .algorithm = Conv2dAlgorithm::direct}};
  Tensor x = random_tensor(c.x, DType::f32, 1);
  x.mutable_values<float>()[16 * 32 + 16] = NAN;
  Tensor y(conv2d_shape(c.x, c.w, c.options), DType::f32);
  kernel::conv2d(x, random_tensor(c.w, DType::f32, 2), Tensor(), c.options, {}, y);
  CHECK(std::ranges::count_if(y.values<float>(), [](float v) { return std::isnan(v); }) == 9 * 16);
}

TEST_CASE("conv2d with stride 2 by tiles keeps a NaN in the tiles that see it", "[conv2d]") {
  const Case c{{5, 8, 16, 16}, {8, 8, 3, 3}, {.stride = 2, .padding = 1}};
  const Tensor w = random_tensor(c.w, DType::f32, 2);
  const auto is_nan = [](const Tensor& t, std::int64_t image, std::int64_t row, std::int64_t column) {
    const std::int64_t first = image * t.shape().numel_after(0) + row * t.shape()[3] + column;
    return std::isnan(t.values<float>()[static_cast<std::size_t>(first)]);  // of channel 0
  };

  // image 2, row 3, column 15: beside it in memory begins row 4
  Tensor x = random_tensor(c.x, DType::f32, 1);
  x.mutable_values<float>()[static_cast<std::size_t>(2 * c.x.numel_after(0) + 3 * 16 + 15)] = NAN;
  Tensor y(conv2d_shape(c.x, c.w, c.options), DType::f32);
  kernel::conv2d(x, w, Tensor(), c.options, {}, y);
  for (std::int64_t i = 0; i < 5 * 8 * 8; ++i) {
    const std::int64_t image = i / 64;
    const std::int64_t row = i / 8 % 8;
    const std::int64_t column = i % 8;
    if (image == 2 && (row == 1 || row == 2) && column == 7) CHECK(is_nan(y, image, row, column));
    if (image != 2 || row >= 4 || column < 4) CHECK_FALSE(is_nan(y, image, row, column));
  }

  // image 2, row 4, column 0: before it in memory ends row 3, which sees it, and so does none on its right
  Tensor dy = random_tensor(y.shape(), DType::f32, 3);
  dy.mutable_values<float>()[static_cast<std::size_t>(2 * y.shape().numel_after(0) + 4 * 8)] = NAN;
  Tensor dx(c.x, DType::f32);
  kernel::conv2d_backward_data(dy, w, c.options, {}, dx);
  for (std::int64_t i = 0; i < 5 * 16 * 16; ++i) {
    const std::int64_t image = i / 256;
    const std::int64_t row = i / 16 % 16;
    const std::int64_t column = i % 16;
    if (image == 2 && row >= 7 && row <= 9 && column <= 1) CHECK(is_nan(dx, image, row, column));
    if (image != 2 || column >= 8) CHECK_FALSE(is_nan(dx, image, row, column));
  }
}

TEST_CASE("conv2d gives an image the same bits in every batch", "[conv2d]") {
  const std::int64_t width = GENERATE(7, 8, 16, 32);
  const std::int64_t stride = GENERATE(1, 2);
  const Case c{{9, 8, 8 * stride, width * stride}, {8, 8, 3, 3}, {.stride = stride, .padding = 1}};
  const Tensor x = random_tensor(c.x, DType::f32, 1);
  const Tensor w = random_tensor(c.w, DType::f32, 2);
  Tensor y(conv2d_shape(c.x, c.w, c.options), DType::f32);
  const Tensor dy = random_tensor(y.shape(), DType::f32, 3);
  Tensor dx = like(x);
  kernel::conv2d(x, w, Tensor(), c.options, {}, y);
  kernel::conv2d_backward_data(dy, w, c.options, {}, dx);
  Tensor one_y(y.shape().with(0, 1), DType::f32);
  Tensor one_dx(c.x.with(0, 1), DType::f32);
  for (const std::int64_t image : {0, 4, 8}) {
    kernel::conv2d(x.slice(image, image + 1), w, Tensor(), c.options, {}, one_y);
    kernel::conv2d_backward_data(dy.slice(image, image + 1), w, c.options, {}, one_dx);
    CHECK(bit_equal(one_y, y.slice(image, image + 1)));
    CHECK(bit_equal(one_dx, dx.slice(image, image + 1)));
  }
}

TEST_CASE("conv2d adds up the products with algorithm direct, which all three kernels heed", "[conv2d]") {
  const Case automatic = GENERATE(Case{{4, 32, 16, 16}, {32, 32, 3, 3}, {.padding = 1}},
                                  Case{{4, 32, 16, 16}, {64, 32, 3, 3}, {.stride = 2, .padding = 1}});
  Case direct = automatic;
  direct.options.algorithm = Conv2dAlgorithm::direct;
  const Tensor x = random_tensor(automatic.x, DType::f32, 1);
  const Tensor w = random_tensor(automatic.w, DType::f32, 2);
  const Tensor dy = random_tensor(conv2d_shape(automatic.x, automatic.w, automatic.options), DType::f32, 3);
  const Results fast = run(automatic, x, w, Tensor(), dy);
  const Results plain = run(direct, x, w, Tensor(), dy);
  const Conv2dSums sums(direct, x, w, Tensor::zeros({w.shape()[0]}, DType::f32), dy);
  CHECK(part_of_allowed(plain.y, sums.y) <= 1);
  CHECK(part_of_allowed(plain.dx, sums.dx) <= 1);
  CHECK(part_of_allowed(plain.dw, sums.dw) <= 1);
  CHECK_FALSE(bit_equal(fast.y, plain.y));
  CHECK_FALSE(bit_equal(fast.dx, plain.dx));
  CHECK_FALSE(bit_equal(fast.dw, plain.dw));
  const auto wide = [&](const Case& c) {
    const auto to = [](const Tensor& t) { return t.to(DType::f64, Tag::data); };
    return run(c, to(x), to(w), Tensor(), to(dy)).y;
  };
  CHECK(bit_equal(wide(automatic), wide(direct)));
}
