#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/nn/metrics.h>

#include <algorithm>
#include <string_view>

namespace retrace {

namespace {

std::int64_t count(std::string_view op, const Tensor& logits, const Tensor& labels, std::int64_t k) {
  if (!is_float(logits.dtype()))
    fail<DTypeError>(op, "logits must be f32, f64, bf16 or f16, got {}", logits.dtype());
  if (logits.shape().rank() != 2 || labels.shape().rank() != 1 || logits.shape()[0] != labels.shape()[0])
    fail<ShapeError>(op, "logits must be [N,C] and labels [N], got {} and {}", logits.shape(),
                     labels.shape());
  if (labels.dtype() != DType::i64) fail<DTypeError>(op, "labels must be i64, got {}", labels.dtype());
  if (k < 1 || k > logits.shape()[1])
    fail<ArgumentError>(op, "k must be in [1,{}] for {} classes, got {}", logits.shape()[1],
                        logits.shape()[1], k);
  Tensor ranks(labels.shape(), DType::i64, Tag::workspace, logits.device());
  kernel::label_rank(logits, labels, ranks);
  return std::ranges::count_if(ranks.to_vector<std::int64_t>(), [k](std::int64_t rank) { return rank < k; });
}

}  // namespace

std::int64_t count_correct(const Tensor& logits, const Tensor& labels, std::int64_t k) {
  return count("count_correct", logits, labels, k);
}

double accuracy(const Tensor& logits, const Tensor& labels, std::int64_t k) {
  return static_cast<double>(count("accuracy", logits, labels, k)) / static_cast<double>(labels.numel());
}

}  // namespace retrace
