#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops/activation.h>
#include <retrace/autograd/ops/check.h>
#include <retrace/autograd/ops/elementwise.h>
#include <retrace/autograd/ops/loss.h>
#include <retrace/autograd/ops/reduce.h>
#include <retrace/autograd/record.h>
#include <retrace/core/kernels.h>

namespace retrace {

namespace {

constexpr std::string_view kCrossEntropy = "cross_entropy";
constexpr std::string_view kBinary = "binary_cross_entropy_with_logits";

void check_labels(const Shape& logits, const Tensor& labels, std::int64_t ignore_index) {
  if (labels.dtype() != DType::i64)
    fail<DTypeError>(kCrossEntropy, "labels must be i64, got {}", labels.dtype());
  if (logits.rank() != 2 || !(labels.shape() == Shape{logits[0]}))
    fail<ShapeError>(kCrossEntropy, "logits must be [N,C] and labels [N], got {} and {}", logits,
                     labels.shape());
  const std::int64_t classes = logits[1];
  std::int64_t n = 0;
  for (const std::int64_t label : labels.values<std::int64_t>()) {
    if (label != ignore_index && (label < 0 || label >= classes))
      fail<ArgumentError>(kCrossEntropy, "labels must be in [0,{}) for {} classes, got {} at index {}",
                          classes, classes, label, n);
    ++n;
  }
}

void check_options(const Var& logits, const CrossEntropyOptions& options) {
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
    fail<ArgumentError>(kCrossEntropy, "label_smoothing must be in [0,1], got {}", options.label_smoothing);
  if (!options.weight.defined()) return;
  detail::check_same_dtype(kCrossEntropy, logits.value(), "weight", options.weight);
  if (!(options.weight.shape() == Shape{logits.shape()[1]}))
    fail<ShapeError>(kCrossEntropy, "weight must be [{}], one for each class, got {}", logits.shape()[1],
                     options.weight.shape());
}

/// What the rows' sum is divided by: for a mean, the sum of their labels' weights.
double divisor_of(const Tensor& labels, const CrossEntropyOptions& options) {
  if (options.reduction != Reduction::mean) return 1;
  const std::vector<double> weights =
      options.weight.defined() ? options.weight.to_vector<double>() : std::vector<double>();
  double sum = 0;
  for (const std::int64_t label : labels.values<std::int64_t>())
    if (label != options.ignore_index) sum += weights.empty() ? 1 : weights[static_cast<std::size_t>(label)];
  return sum;
}

Var reduced(const Var& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::mean ? mean(losses) : sum(losses);
}

/// A constant as Autocast's rule for losses wants it; undefined stays undefined.
Tensor in_f32(const Tensor& x) { return autocast::in_f32(Var(x)).value(); }

void check_same_shape(std::string_view op, const Var& x, const Var& y) {
  detail::check_pair(op, x, y);
  if (!(x.shape() == y.shape()))
    fail<ShapeError>(op, "x and y must have the same shape, got {} and {}", x.shape(), y.shape());
}

/// Throws unless `other` can be repeated to x's shape.
void check_weight(const Var& x, std::string_view name, const Tensor& other) {
  if (!other.defined()) return;
  detail::check_same_dtype(kBinary, x.value(), name, other);
  bool fits = other.shape().rank() <= x.shape().rank();
  for (int d = -1; fits && d >= -other.shape().rank(); --d)
    fits = other.shape()[d] == x.shape()[d] || other.shape()[d] == 1;
  if (!fits) fail<ShapeError>(kBinary, "{} must broadcast to x {}, got {}", name, x.shape(), other.shape());
}

/// `weight` for each element of x; undefined stays undefined.
Tensor repeated(const Tensor& weight, const Tensor& x) {
  if (!weight.defined() || weight.shape() == x.shape()) return weight;
  Tensor all = like(x, Tag::workspace);
  kernel::broadcast_to(weight, 1, all);
  return all;
}

}  // namespace

/// dlogits = (softmax(logits) - onehot(labels)) dy / N; with weights and smoothing see the kernel
Var cross_entropy(const Var& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  if (autocast::to_f32(logits, Var(options.weight))) {
    CrossEntropyOptions wide = options;
    wide.weight = in_f32(options.weight);
    return cross_entropy(autocast::in_f32(logits), labels, wide);
  }
  detail::check_float(kCrossEntropy, logits, "logits");
  detail::check_defined(kCrossEntropy, "labels", labels);
  const Tensor readable = on_cpu(labels);
  check_labels(logits.shape(), readable, options.ignore_index);
  check_options(logits, options);
  const double smoothing = options.label_smoothing;
  const std::int64_t ignored = options.ignore_index;
  const double divisor = divisor_of(readable, options);
  Tensor y = like(logits.value(), options.reduction == Reduction::none ? labels.shape() : Shape{});
  kernel::cross_entropy(logits.value(), labels, options.weight, smoothing, ignored, divisor, y);
  return record(kCrossEntropy, {logits}, y, /*save=*/{logits.value(), labels, options.weight},
                [smoothing, ignored, divisor](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
                  Tensor dx = like(saved[0], Tag::gradient);
                  kernel::cross_entropy_backward(saved[0], saved[1], saved[2], smoothing, ignored, divisor,
                                                 dy, dx);
                  return {dx};
                });
}

/// dx = dy ((1 - target) sigmoid(x) - pos_weight target sigmoid(-x)), times weight
Var binary_cross_entropy_with_logits(const Var& x, const Tensor& target,
                                     const BinaryCrossEntropyOptions& options) {
  if (autocast::to_f32(x, Var(target), Var(options.weight), Var(options.pos_weight))) {
    BinaryCrossEntropyOptions wide = options;
    wide.weight = in_f32(options.weight);
    wide.pos_weight = in_f32(options.pos_weight);
    return binary_cross_entropy_with_logits(autocast::in_f32(x), in_f32(target), wide);
  }
  detail::check_float(kBinary, x);
  detail::check_defined(kBinary, "target", target);
  detail::check_same_dtype(kBinary, x.value(), "target", target);
  if (!(target.shape() == x.shape()))
    fail<ShapeError>(kBinary, "target must have x's shape {}, got {}", x.shape(), target.shape());
  check_weight(x, "weight", options.weight);
  check_weight(x, "pos_weight", options.pos_weight);
  Tensor y = like(x.value());
  kernel::bce_with_logits(x.value(), target, repeated(options.pos_weight, x.value()), y);
  const Var losses =
      record(kBinary, {x}, y, /*save=*/{x.value(), target, options.pos_weight},
             [](const Tensor& dy, Saved saved, const Wants&) -> Tensors {
               Tensor dx = like(dy, Tag::gradient);
               kernel::bce_with_logits_backward(saved[0], saved[1], repeated(saved[2], saved[0]), dy, dx);
               return {dx};
             });
  return reduced(options.weight.defined() ? losses * Var(options.weight) : losses, options.reduction);
}

/// dx = 2 (x - y) dloss, divided by the number of elements for a mean;  dy = -dx
Var mse_loss(const Var& x, const Var& y, Reduction reduction) {
  if (autocast::to_f32(x, y)) return mse_loss(autocast::in_f32(x), autocast::in_f32(y), reduction);
  check_same_shape("mse_loss", x, y);
  const double divisor = reduction == Reduction::mean ? static_cast<double>(x.shape().numel()) : 1;
  Tensor loss = like(x.value(), reduction == Reduction::none ? x.shape() : Shape{});
  kernel::mse_loss(x.value(), y.value(), divisor, loss);
  return record("mse_loss", {x, y}, loss, /*save=*/{x.value(), y.value()},
                [divisor](const Tensor& dloss, Saved saved, const Wants& wants) -> Tensors {
                  Tensor dx = like(saved[0], Tag::gradient);
                  kernel::mse_loss_backward(saved[0], saved[1], divisor, dloss, dx);
                  if (!wants[1]) return {dx, Tensor()};
                  Tensor dy = wants[0] ? like(dx, Tag::gradient) : dx;
                  kernel::scale_shift(dx, -1, kernel::kNoShift, dy);
                  return {wants[0] ? dx : Tensor(), dy};
                });
}

Var l1_loss(const Var& x, const Var& y, Reduction reduction) {
  if (autocast::to_f32(x, y)) return l1_loss(autocast::in_f32(x), autocast::in_f32(y), reduction);
  check_same_shape("l1_loss", x, y);
  return reduced(abs(x - y), reduction);
}

}  // namespace retrace
