#pragma once
#include <retrace/core/tensor.h>

#include <cstdint>

namespace retrace {

/// In how many rows the label's logit is among the k largest; of equal ones the first come first. NaNs come
/// before all numbers, as in `argmax`, but a label whose logit is one is never right. logits: [N, C], labels:
/// [N] i64. Throws ShapeError, DTypeError, and ArgumentError unless 1 <= k <= C.
std::int64_t count_correct(const Tensor& logits, const Tensor& labels, std::int64_t k = 1);

/// The same as a fraction of N.
double accuracy(const Tensor& logits, const Tensor& labels, std::int64_t k = 1);

}  // namespace retrace
