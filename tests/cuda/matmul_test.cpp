#include "../support/catch.h"
#include "../support/random_tensor.h"
#include "../support/rounding.h"
#include "host/host_layer.h"

#include <retrace/core/kernels.h>
#include <retrace/core/memory.h>
#include <retrace/cuda/device.h>

using namespace retrace;
using namespace retrace::test;

TEST_CASE("cuda matmul: matrices at even steps are multiplied by one call", "[cuda][matmul]") {
  const Device gpu = cuda::device(0);
  struct Case {
    Shape a, b;
    std::int64_t calls;
  };
  const auto [a, b, calls] = GENERATE(values<Case>({{{3, 4}, {4, 5}, 1},
                                                    {{2, 3, 3, 4}, {2, 3, 4, 5}, 1},
                                                    {{6, 3, 4}, {4, 5}, 1},
                                                    {{3, 4}, {2, 3, 4, 5}, 1},
                                                    {{2, 1, 3, 4}, {2, 1, 4, 5}, 1},
                                                    {{2, 1, 3, 4}, {1, 3, 4, 5}, 2},
                                                    {{2, 3, 3, 4}, {3, 4, 5}, 2},
                                                    {{2, 3, 5, 3, 4}, {2, 1, 5, 4, 5}, 6}}));
  CAPTURE(a, b);
  const Tensor x = random_tensor(a, DType::f64, 1);
  const Tensor y = random_tensor(b, DType::f64, 2);
  Tensor expected(matmul_shape(a, b), DType::f64);
  kernel::matmul(x, y, Tensor(), {}, expected);
  Tensor got = like(expected.to(gpu, Tag::data));
  const std::int64_t before = gpu_host::counts().library_calls;
  kernel::matmul(x.to(gpu, Tag::data), y.to(gpu, Tag::data), Tensor(), {}, got);
  CHECK(gpu_host::counts().library_calls - before == calls);
  CHECK(roundings(got, expected) <= 20);  // of sums of four products, twice
}

TEST_CASE("cuda matmul: sums of bf16 and f16 are rounded once", "[cuda][matmul]") {
  const Device gpu = cuda::device(0);
  const auto [dtype, large] =
      GENERATE(values<std::pair<DType, double>>({{DType::bf16, 256}, {DType::f16, 2048}}));
  const Tensor a =
      Tensor::from<double>({large, 1, -large, 0}, {1, 4}).to(dtype, Tag::data).to(gpu, Tag::data);
  const Tensor b = Tensor::full({4, 1}, 1, dtype, Tag::data, gpu);
  Tensor out({1, 1}, dtype, Tag::data, gpu);
  kernel::matmul(a, b, Tensor(), {}, out);  // in that type large + 1 is large
  CHECK(out.to_vector<double>() == std::vector<double>{1});
}

TEST_CASE("cuda matmul: what cuBLAS works in is in the ledger, and gone afterwards", "[cuda][matmul]") {
  const Device gpu = cuda::device(0);
  const Tensor a = Tensor::full({3, 3}, 1, DType::f32, Tag::data, gpu);
  Tensor out = like(a);
  const Counter counter(Tag::workspace, /*remember=*/false, gpu);
  kernel::matmul(a, a, Tensor(), {}, out);
  CHECK(counter.peak() == (std::int64_t{4} << 20) + 192);
  CHECK(counter.live() == 0);
}

TEST_CASE("cuda matmul: integers are refused", "[cuda][matmul]") {
  const Tensor a = Tensor::full({1, 1}, 1, DType::i32, Tag::data, cuda::device(0));
  Tensor out = like(a);
  CHECK_THROWS_AS(kernel::matmul(a, a, Tensor(), {}, out), DTypeError);
}

TEST_CASE("cuda matmul: a bias is added before bf16 and f16 are rounded", "[cuda][matmul]") {
  const Device gpu = cuda::device(0);
  const DType dtype = GENERATE(DType::f32, DType::f64, DType::bf16, DType::f16);
  CAPTURE(name_of(dtype));
  const Tensor a = random_tensor({3, 7, 10}, dtype, 1);
  const Tensor b = random_tensor({10, 5}, dtype, 2);
  const Tensor bias = random_tensor({5}, dtype, 3);
  Tensor expected({3, 7, 5}, dtype);
  kernel::matmul(a, b, bias, {}, expected);
  Tensor got = like(expected.to(gpu, Tag::data));
  kernel::matmul(a.to(gpu, Tag::data), b.to(gpu, Tag::data), bias.to(gpu, Tag::data), {}, got);
  const bool reduced = is_reduced_float(dtype);  // of which no sum here is close to the middle of two
  CHECK(roundings(got, expected) <= (reduced ? 0 : 40));  // of sums of ten products and a bias, twice
}
