#pragma once
#include <retrace/autograd/var.h>

#include <cstdint>

namespace retrace {

/// What becomes of the single losses: they stay, or are made one number.
enum class Reduction : std::uint8_t {
  none,  ///< they stay
  mean,  ///< their mean
  sum    ///< their sum
};

/// How `cross_entropy` weighs rows and classes.
struct CrossEntropyOptions {
  Tensor weight{};                        ///< [C], of the classes; undefined: all 1
  std::int64_t ignore_index = -100;       ///< rows with this label have loss 0 and do not count
  Reduction reduction = Reduction::mean;  ///< a scalar, or one loss a row
  double label_smoothing = 0;             ///< this part of the target is shared out to all classes
};

/// -ln softmax(logits)[label] of each row, through log-sum-exp; logits: [N, C], labels: [N] of type i64,
/// result: a scalar, or [N] without a reduction. With weight w and label_smoothing s, where p = ln softmax:
///
///     loss = -(1 - s) w[label] p[label] - s / C sum_c w[c] p[c]
///
/// and the mean is the sum divided by the sum of w[label]; NaN when every label is ignored. Throws
/// ShapeError, DTypeError, and ArgumentError for the first label that is not in [0, C), and for
/// label_smoothing outside [0, 1].
Var cross_entropy(const Var& logits, const Tensor& labels, const CrossEntropyOptions& options = {});

/// How `binary_cross_entropy_with_logits` weighs the single losses.
struct BinaryCrossEntropyOptions {
  Tensor weight{};                        ///< of the single losses; broadcasts to x; undefined: 1
  Tensor pos_weight{};                    ///< of the targets' positive part; broadcasts to x; undefined: 1
  Reduction reduction = Reduction::mean;  ///< a scalar, or one loss an element
};

/// weight (-pos_weight target ln sigmoid(x) - (1 - target) ln(1 - sigmoid(x))), for any x without overflow.
/// x and target, a constant: one shape; the mean is over all elements. Throws ShapeError and DTypeError.
Var binary_cross_entropy_with_logits(const Var& x, const Tensor& target,
                                     const BinaryCrossEntropyOptions& options = {});

/// (x - y)^2. Throws ShapeError unless x and y have one shape.
Var mse_loss(const Var& x, const Var& y, Reduction reduction = Reduction::mean);

/// |x - y|; the gradient is 0 where x = y. Throws ShapeError unless x and y have one shape.
Var l1_loss(const Var& x, const Var& y, Reduction reduction = Reduction::mean);

}  // namespace retrace
