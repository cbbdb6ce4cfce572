#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/elementwise.h>
#include <retrace/autograd/ops/loss.h>
#include <retrace/autograd/ops/reduce.h>
#include <retrace/autograd/record.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>

namespace retrace {

namespace {

void check_labels(const Shape& logits, const Tensor& labels) {
  if (labels.dtype() != DType::i64)
    fail<DTypeError>("cross_entropy", "labels must be i64, got {}", labels.dtype());
  if (logits.rank() != 2 || !(labels.shape() == Shape{logits[0]}))
    fail<ShapeError>("cross_entropy", "logits must be [N,C] and labels [N], got {} and {}", logits,
                     labels.shape());
  const std::int64_t classes = logits[1];
  std::int64_t n = 0;
  for (const std::int64_t label : labels.values<std::int64_t>()) {
    if (label < 0 || label >= classes)
      fail<ArgumentError>("cross_entropy", "labels must be in [0,{}) for {} classes, got {} at index {}",
                          classes, classes, label, n);
    ++n;
  }
}

}  // namespace

/// dlogits = (softmax(logits) - onehot(labels)) dy / N
Var cross_entropy(const Var& logits, const Tensor& labels) {
  if (autocast::to_f32(logits)) return cross_entropy(autocast::in_f32(logits), labels);
  check_labels(logits.shape(), labels);
  Tensor y = like(logits.value(), Shape{});
  kernel::cross_entropy(logits.value(), labels, y);
  return record("cross_entropy", {logits}, y, /*save=*/{logits.value(), labels},
                [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(saved[0], Tag::gradient);
                  kernel::cross_entropy_backward(saved[0], saved[1], dy, dx);
                  return {dx};
                });
}

Var mse_loss(const Var& x, const Var& y) {
  if (autocast::to_f32(x, y)) return mse_loss(autocast::in_f32(x), autocast::in_f32(y));
  if (!(x.shape() == y.shape()))
    fail<ShapeError>("mse_loss", "x and y must have the same shape, got {} and {}", x.shape(), y.shape());
  return mean(square(x - y));
}

}  // namespace retrace
