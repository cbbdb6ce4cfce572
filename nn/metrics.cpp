#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/nn/metrics.h>

namespace retrace {

std::int64_t count_correct(const Tensor& logits, const Tensor& labels) {
  if (logits.shape().rank() != 2 || labels.shape().rank() != 1 || logits.shape()[0] != labels.shape()[0])
    fail<ShapeError>("accuracy", "logits must be [N,C] and labels [N], got {} and {}", logits.shape(),
                     labels.shape());
  if (labels.dtype() != DType::i64)
    fail<DTypeError>("accuracy", "labels must be i64, got {}", labels.dtype());
  Tensor predicted(labels.shape(), DType::i64, Tag::workspace, logits.device());
  kernel::argmax(logits, predicted);
  const auto guesses = predicted.values<std::int64_t>();
  const auto truths = labels.values<std::int64_t>();
  std::int64_t correct = 0;
  for (std::size_t n = 0; n < truths.size(); ++n) correct += guesses[n] == truths[n] ? 1 : 0;
  return correct;
}

double accuracy(const Tensor& logits, const Tensor& labels) {
  return static_cast<double>(count_correct(logits, labels)) / static_cast<double>(labels.numel());
}

}  // namespace retrace
