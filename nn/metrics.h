#pragma once
#include <retrace/core/tensor.h>

#include <cstdint>

namespace retrace {

/// In how many rows the largest logit, the first of equal ones, is the label's.
/// logits: [N, C], labels: [N] i64. Throws ShapeError and DTypeError.
std::int64_t count_correct(const Tensor& logits, const Tensor& labels);

/// The same as a fraction of N.
double accuracy(const Tensor& logits, const Tensor& labels);

}  // namespace retrace
