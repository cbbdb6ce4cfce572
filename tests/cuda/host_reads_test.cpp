// What the program itself reads of tensors on a GPU: labels and indices, which it checks, and their metrics.
#include "../support/throws.h"
#include "host/host_layer.h"

#include <retrace/autograd/ops.h>
#include <retrace/cuda/device.h>
#include <retrace/nn/metrics.h>

using namespace retrace;
using test::check_throws;

namespace {

Tensor on_gpu(const Tensor& x) { return x.to(cuda::device(0), Tag::data); }

Tensor integers(std::initializer_list<std::int64_t> values, const Shape& shape) {
  return on_gpu(Tensor::from<std::int64_t>(values, shape));
}

}  // namespace

TEST_CASE("labels and indices on a GPU are checked as those on the CPU are", "[cuda]") {
  const Tensor table = on_gpu(Tensor::full({3, 10}, 0.5, DType::f32));
  check_throws<ArgumentError>(
      [&] {
        cross_entropy(table, integers({1, 12, 3}, {3}));
      },
      "[cross_entropy] labels must be in [0,10) for 10 classes, got 12 at index 1");
  check_throws<ArgumentError>(
      [&] {
        embedding(integers({2, 3}, {2}), table);
      },
      "[embedding] indices must be in [0,3) for 3 rows, got 3 at index 1");
}

TEST_CASE("cross_entropy copies the labels of a GPU once", "[cuda]") {
  const Tensor logits = on_gpu(Tensor::full({3, 10}, 0.5, DType::f32));
  const Tensor labels = integers({1, 2, 3}, {3});
  const std::int64_t before = gpu_host::counts().downloaded;
  cross_entropy(logits, labels);
  CHECK(gpu_host::counts().downloaded - before == labels.bytes());
}

TEST_CASE("count_correct counts on a GPU", "[cuda][metrics]") {
  const Tensor logits = on_gpu(Tensor::from<float>({1, 3, 2, 5, 4, 6}, {2, 3}));
  CHECK(count_correct(logits, integers({1, 0}, {2}), 1) == 1);
  CHECK(count_correct(logits, integers({1, 0}, {2}), 2) == 2);
}
