#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/throws.h"
#include "host/host_layer.h"

#include <retrace/core/kernels.h>
#include <retrace/core/memory.h>
#include <retrace/cuda/cudnn_descriptors.h>
#include <retrace/cuda/device.h>

using namespace retrace;
using namespace retrace::test;

namespace {

// What the host layer's heuristics say of the algorithm that is to be chosen.
constexpr std::size_t kWorkspace = std::size_t{1} << 20;
/// With what it takes to align it.
constexpr std::int64_t kScratch = static_cast<std::int64_t>(kWorkspace) + 192;

/// A convolution's tensors on the GPU.
struct Problem {
  explicit Problem(std::int64_t height, DType dtype = DType::f32, const Conv2dOptions& how = {.padding = 1})
      : options(how),
        x(on_gpu({2, 3, height, 5}, dtype, 1)),
        w(on_gpu({4, 3, 3, 3}, dtype, 2)),
        bias(on_gpu({4}, dtype, 3)),
        y(like(x, conv2d_shape(x.shape(), w.shape(), options))) {}

  static Tensor on_gpu(const Shape& shape, DType dtype, std::uint64_t seed) {
    return random_tensor(shape, dtype, seed).to(cuda::device(0), Tag::data);
  }
  void forward() { kernel::conv2d(x, w, bias, options, {}, y); }
  void backward_data() { kernel::conv2d_backward_data(y, w, options, {}, x); }
  void backward_weight() { kernel::conv2d_backward_weight(y, x, options, w); }

  Conv2dOptions options;
  Tensor x, w, bias, y;
};

bool same_bits(const Tensor& a, const Tensor& b) {
  return bit_equal(a.to(Device::cpu(), Tag::data), b.to(Device::cpu(), Tag::data));
}

/// What runs in each direction, and the algorithms of cuDNN.
struct Direction {
  void (Problem::*run)();
  int chosen, direct;
};
const std::vector<Direction> kDirections{
    {&Problem::forward, CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM},
    {&Problem::backward_data, CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1},
    {&Problem::backward_weight, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING,
     CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1}};

}  // namespace

TEST_CASE("cuda conv2d: with a residual it has the bits of two operations", "[cuda][conv2d]") {
  const DType dtype = GENERATE(DType::f32, DType::f64, DType::bf16, DType::f16);
  const Sign sign = GENERATE(Sign::plus, Sign::minus);
  const bool with_bias = GENERATE(true, false);
  CAPTURE(name_of(dtype), sign == Sign::plus, with_bias);
  Problem p(6, dtype);
  if (!with_bias) p.bias = Tensor();
  const Tensor residual = Problem::on_gpu(p.y.shape(), dtype, 4);
  p.forward();
  Tensor expected = like(p.y);
  (sign == Sign::plus ? kernel::add : kernel::sub)(residual, p.y, expected);

  kernel::conv2d(p.x, p.w, p.bias, p.options, {residual, sign}, p.y);
  CHECK(same_bits(p.y, expected));
  Tensor in_place = residual.clone(Tag::data);
  kernel::conv2d(p.x, p.w, p.bias, p.options, {in_place, sign}, in_place);
  CHECK(same_bits(in_place, expected));
}

TEST_CASE("cuda conv2d: a bias is added before bf16 and f16 are rounded", "[cuda][conv2d]") {
  const DType dtype = GENERATE(DType::bf16, DType::f16);
  CAPTURE(name_of(dtype));
  Problem p(6, dtype);
  p.forward();
  const auto wide = [](const Tensor& t) { return t.to(Device::cpu(), Tag::data).to(DType::f64, Tag::data); };
  Tensor exact(p.y.shape(), DType::f64);
  kernel::conv2d(wide(p.x), wide(p.w), wide(p.bias), p.options, {}, exact);
  CHECK(bit_equal(p.y.to(Device::cpu(), Tag::data), exact.to(dtype, Tag::data)));
}

TEST_CASE("cuda conv2d: the gradient of x onto a residual has the bits of two operations", "[cuda][conv2d]") {
  const DType dtype = GENERATE(DType::f32, DType::f64, DType::bf16, DType::f16);
  const Sign sign = GENERATE(Sign::plus, Sign::minus);
  CAPTURE(name_of(dtype), sign == Sign::plus);
  Problem p(6, dtype);
  kernel::fill(p.y, 0.5);
  const Tensor residual = Problem::on_gpu(p.x.shape(), dtype, 4);
  p.backward_data();
  Tensor expected = like(p.x);
  (sign == Sign::plus ? kernel::add : kernel::sub)(residual, p.x, expected);

  kernel::conv2d_backward_data(p.y, p.w, p.options, {residual, sign}, p.x);
  CHECK(same_bits(p.x, expected));
  Tensor in_place = residual.clone(Tag::data);
  kernel::conv2d_backward_data(p.y, p.w, p.options, {in_place, sign}, in_place);
  CHECK(same_bits(in_place, expected));
}

TEST_CASE("cuda conv2d: scratch space is in the ledger, and gone afterwards", "[cuda][conv2d]") {
  Problem p(6);
  Counter counter(Tag::workspace, /*remember=*/false, p.x.device());
  SECTION("each direction takes the algorithm's") {
    for (const Direction& direction : kDirections) {
      const Counter inner(Tag::workspace, /*remember=*/false, p.x.device());
      (p.*direction.run)();
      CHECK(inner.peak() == kScratch);
    }
  }
  SECTION("a residual takes no more") {
    kernel::conv2d(p.x, p.w, p.bias, p.options, {p.y.clone(Tag::data), Sign::plus}, p.y);
    CHECK(counter.peak() == kScratch);
  }
  SECTION("a residual in place takes a result") {
    kernel::conv2d(p.x, p.w, p.bias, p.options, {p.y, Sign::plus}, p.y);
    CHECK(counter.peak() == kScratch + (p.y.bytes() + 63) / 64 * 64);
  }
  CHECK(counter.live() == 0);
}

TEST_CASE("cuda conv2d: the fastest algorithm that is deterministic and takes at most 64 MiB is chosen once",
          "[cuda][conv2d]") {
  const Direction direction = GENERATE(from_range(kDirections));
  static std::int64_t height = 10;  // of a problem that was not seen yet
  Problem p(height++);
  const gpu_host::ConvolutionCalls& calls = gpu_host::convolution_calls();
  const std::int64_t before = calls.questions;
  (p.*direction.run)();
  CHECK(calls.questions - before == 1);
  CHECK(calls.algorithm == direction.chosen);
  CHECK(calls.workspace == kWorkspace);
  (p.*direction.run)();
  CHECK(calls.questions - before == 1);
  CHECK(calls.algorithm == direction.chosen);
}

TEST_CASE("cuda conv2d: where no algorithm keeps within 64 MiB it is the direct one", "[cuda][conv2d]") {
  const Direction direction = GENERATE(from_range(kDirections));
  static std::int64_t height = 20;  // of a problem that was not seen yet
  Problem p(height++);
  gpu_host::set_scarce(true);
  (p.*direction.run)();
  gpu_host::set_scarce(false);
  CHECK(gpu_host::convolution_calls().algorithm == direction.direct);
}

TEST_CASE("cuda conv2d: algorithm direct is not chosen by speed", "[cuda][conv2d]") {
  const Direction direction = GENERATE(from_range(kDirections));
  Problem p(6, DType::f32, {.padding = 1, .algorithm = Conv2dAlgorithm::direct});
  const gpu_host::ConvolutionCalls& calls = gpu_host::convolution_calls();
  const std::int64_t before = calls.questions;
  (p.*direction.run)();
  CHECK(calls.questions == before);
  CHECK(calls.algorithm == direction.direct);
}

TEST_CASE("cuda conv2d: what depends on the problem is not mixed up", "[cuda][conv2d]") {
  const gpu_host::ConvolutionCalls& calls = gpu_host::convolution_calls();
  const auto questions = [&](DType dtype, const Conv2dOptions& options) {
    const std::int64_t before = calls.questions;
    Problem(9, dtype, options).forward();
    return calls.questions - before;
  };
  const std::vector<Conv2dOptions> all{{.padding = 1},
                                       {.stride = {1, 2}, .padding = 1},
                                       {.stride = {2, 1}, .padding = 1},
                                       {.padding = {1, 2}},
                                       {.padding = {2, 1}},
                                       {.padding = 1, .dilation = {1, 2}},
                                       {.padding = 1, .dilation = {2, 1}}};
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16})
    for (const Conv2dOptions& options : all) CHECK(questions(dtype, options) == 1);
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16})
    for (const Conv2dOptions& options : all) CHECK(questions(dtype, options) == 0);
}

TEST_CASE("cuda conv2d: numbers that cuDNN does not take are refused", "[cuda][conv2d]") {
  const std::string text = "[conv2d] extents and strides must be below 2^31 on a GPU, got 2147483648";
  const std::int64_t large = std::int64_t{1} << 31;
  check_throws<NotImplementedError>([&] { cuda::TensorDescriptor({1, 1, large, 1}, DType::f32); }, text);
  check_throws<NotImplementedError>([&] { cuda::FilterDescriptor({1, 1, 1, large}, DType::f32); }, text);
  check_throws<NotImplementedError>([&] { cuda::ConvolutionDescriptor({.stride = large}, DType::f32); },
                                    text);
  CHECK_NOTHROW(cuda::ConvolutionDescriptor({.stride = large - 1}, DType::f32));
}
