#pragma once
#include <retrace/autograd/var.h>

namespace retrace {

/// The mean over the batch of -ln softmax(logits)[label], through log-sum-exp; logits: [N, C], labels: [N] of
/// type i64, result: a scalar. Throws ShapeError, DTypeError, and ArgumentError for the first label that is
/// not in [0, C).
Var cross_entropy(const Var& logits, const Tensor& labels);

/// mean((x - y)^2), a scalar. Throws ShapeError unless x and y have one shape.
Var mse_loss(const Var& x, const Var& y);

}  // namespace retrace
