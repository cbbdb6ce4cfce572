#include <retrace/core/cpu/parallel.h>
#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace retrace {

namespace {

using cpu::kGrain;
using cpu::parallel_for;

/// The elements along one dimension, at one index of all others.
template <class T>
struct Line {
  T* first;
  std::int64_t step;
  std::int64_t size;

  T& operator[](std::int64_t i) const { return first[i * step]; }
};

/// Calls `body(line number, line of each tensor)` for every line of dimension dim.
template <class Body>
void for_each_line(const Shape& shape, int dim, const Body& body) {
  const std::int64_t step = shape.numel_after(dim);
  const std::int64_t size = shape[dim];
  parallel_for(shape.numel() / size, std::max<std::int64_t>(1, kGrain / size),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t l = begin; l < end; ++l) {
                   const std::int64_t offset = l / step * step * size + l % step;
                   body([=]<class T>(T* x) { return Line<T>{x + offset, step, size}; });
                 }
               });
}

template <class T>
T max_of(const Line<const T>& x) {
  T most = x[0];
  for (std::int64_t i = 1; i < x.size; ++i) most = std::max(most, x[i]);
  return most;
}

/// The exponentials of a line, in double, after its largest element is subtracted: the largest is 1. `most`
/// and log(sum) are never added, which would round what is small beside large logits.
template <class T>
struct Exponentials {
  Line<const T> x;
  double most;
  double sum = 0;

  explicit Exponentials(const Line<const T>& line) : x(line), most(static_cast<double>(max_of(line))) {
    for (std::int64_t i = 0; i < x.size; ++i) sum += std::exp(shifted(i));
  }
  double shifted(std::int64_t i) const { return static_cast<double>(x[i]) - most; }
  double probability(std::int64_t i) const { return std::exp(shifted(i)) / sum; }
};

void softmax_cpu(const Tensor& x, int dim, Tensor& y) {
  visit_float("softmax", x.dtype(), [&]<class T>(TypeTag<T>) {
    for_each_line(x.shape(), dim, [from = x.data<T>(), to = y.mutable_data<T>()](const auto& line) {
      const Line<const T> in = line(from);
      const Line<T> out = line(to);
      const Exponentials<T> all(in);
      for (std::int64_t i = 0; i < in.size; ++i) out[i] = static_cast<T>(all.probability(i));
    });
  });
}

void softmax_backward_cpu(const Tensor& y, const Tensor& dy, int dim, Tensor& dx) {
  visit_float("softmax", y.dtype(), [&]<class T>(TypeTag<T>) {
    for_each_line(y.shape(), dim,
                  [p = y.data<T>(), d = dy.data<T>(), to = dx.mutable_data<T>()](const auto& line) {
                    const Line<const T> probability = line(p);
                    const Line<const T> gradient = line(d);
                    const Line<T> out = line(to);
                    double mean = 0;
                    for (std::int64_t i = 0; i < out.size; ++i)
                      mean += static_cast<double>(probability[i]) * static_cast<double>(gradient[i]);
                    for (std::int64_t i = 0; i < out.size; ++i)
                      out[i] = probability[i] * (gradient[i] - static_cast<T>(mean));
                  });
  });
}

void log_softmax_cpu(const Tensor& x, int dim, Tensor& y) {
  visit_float("log_softmax", x.dtype(), [&]<class T>(TypeTag<T>) {
    for_each_line(x.shape(), dim, [from = x.data<T>(), to = y.mutable_data<T>()](const auto& line) {
      const Line<const T> in = line(from);
      const Line<T> out = line(to);
      const Exponentials<T> all(in);
      const double log_sum = std::log(all.sum);
      for (std::int64_t i = 0; i < in.size; ++i) out[i] = static_cast<T>(all.shifted(i) - log_sum);
    });
  });
}

void log_softmax_backward_cpu(const Tensor& y, const Tensor& dy, int dim, Tensor& dx) {
  visit_float("log_softmax", y.dtype(), [&]<class T>(TypeTag<T>) {
    for_each_line(y.shape(), dim,
                  [p = y.data<T>(), d = dy.data<T>(), to = dx.mutable_data<T>()](const auto& line) {
                    const Line<const T> log_probability = line(p);
                    const Line<const T> gradient = line(d);
                    const Line<T> out = line(to);
                    double sum = 0;
                    for (std::int64_t i = 0; i < out.size; ++i) sum += static_cast<double>(gradient[i]);
                    for (std::int64_t i = 0; i < out.size; ++i)
                      out[i] = gradient[i] - std::exp(log_probability[i]) * static_cast<T>(sum);
                  });
  });
}

/// The loss of a row is a weighted sum of log sum exp - x_c: with (1 - smoothing) w_label at the label, and
/// smoothing / C w_c at each class.
template <class T>
struct CrossEntropy {
  const T* logits;
  const std::int64_t* labels;
  const T* weights;  // of the classes; null: 1
  double smoothing;
  std::int64_t ignored;
  std::int64_t classes;

  CrossEntropy(const Tensor& x, const Tensor& label, const Tensor& weight, double label_smoothing,
               std::int64_t ignore_index)
      : logits(x.data<T>()),
        labels(label.data<std::int64_t>()),
        weights(detail::data_or_null<T>(weight)),
        smoothing(label_smoothing),
        ignored(ignore_index),
        classes(x.shape()[1]) {}

  Line<const T> row(std::int64_t r) const { return {logits + r * classes, 1, classes}; }
  double weight(std::int64_t c) const { return weights == nullptr ? 1 : static_cast<double>(weights[c]); }
  double at_label(std::int64_t r) const { return (1 - smoothing) * weight(labels[r]); }
  double at_each(std::int64_t c) const { return smoothing / static_cast<double>(classes) * weight(c); }

  double loss(std::int64_t r) const {
    if (labels[r] == ignored) return 0;
    const Exponentials<T> all(row(r));
    const double log_sum = std::log(all.sum);
    double sum = at_label(r) * (log_sum - all.shifted(labels[r]));
    if (smoothing == 0) return sum;  // an infinite logit times 0 would be a NaN
    for (std::int64_t c = 0; c < classes; ++c) sum += at_each(c) * (log_sum - all.shifted(c));
    return sum;
  }

  void differentiate(std::int64_t r, double scale, T* dx) const {
    if (labels[r] == ignored) {
      std::fill_n(dx, classes, T{0});
      return;
    }
    const Exponentials<T> exponentials(row(r));
    double all = at_label(r);
    if (smoothing > 0)
      for (std::int64_t c = 0; c < classes; ++c) all += at_each(c);
    for (std::int64_t c = 0; c < classes; ++c) {
      const double own = at_each(c) + (c == labels[r] ? at_label(r) : 0.0);
      dx[c] = static_cast<T>(scale * (all * exponentials.probability(c) - own));
    }
  }
};

void cross_entropy_cpu(const Tensor& logits, const Tensor& labels, const Tensor& weight,
                       double label_smoothing, std::int64_t ignore_index, double divisor, Tensor& loss) {
  const std::int64_t rows = logits.shape()[0];
  Tensor row_loss({rows}, DType::f64, Tag::workspace);
  double* losses = row_loss.mutable_data<double>();
  visit_float("cross_entropy", logits.dtype(), [&]<class T>(TypeTag<T>) {
    const CrossEntropy<T> of(logits, labels, weight, label_smoothing, ignore_index);
    parallel_for(rows, std::max<std::int64_t>(1, kGrain / of.classes),
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t r = begin; r < end; ++r) losses[r] = of.loss(r);
                 });
    T* to = loss.mutable_data<T>();
    if (loss.shape().rank() == 0)
      *to = static_cast<T>(std::accumulate(losses, losses + rows, 0.0) / divisor);
    else
      std::transform(losses, losses + rows, to, [=](double l) { return static_cast<T>(l / divisor); });
  });
}

void cross_entropy_backward_cpu(const Tensor& logits, const Tensor& labels, const Tensor& weight,
                                double label_smoothing, std::int64_t ignore_index, double divisor,
                                const Tensor& dloss, Tensor& dlogits) {
  visit_float("cross_entropy", logits.dtype(), [&]<class T>(TypeTag<T>) {
    const CrossEntropy<T> of(logits, labels, weight, label_smoothing, ignore_index);
    const T* d = dloss.data<T>();
    const std::int64_t step = dloss.shape().rank() == 0 ? 0 : 1;
    T* dx = dlogits.mutable_data<T>();
    parallel_for(logits.shape()[0], std::max<std::int64_t>(1, kGrain / of.classes),
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t r = begin; r < end; ++r)
                     of.differentiate(r, static_cast<double>(d[r * step]) / divisor, dx + r * of.classes);
                 });
  });
}

}  // namespace

constinit decltype(kernel::softmax) kernel::softmax{&softmax_cpu};
constinit decltype(kernel::softmax_backward) kernel::softmax_backward{&softmax_backward_cpu};
constinit decltype(kernel::log_softmax) kernel::log_softmax{&log_softmax_cpu};
constinit decltype(kernel::log_softmax_backward) kernel::log_softmax_backward{&log_softmax_backward_cpu};
constinit decltype(kernel::cross_entropy) kernel::cross_entropy{&cross_entropy_cpu};
constinit decltype(kernel::cross_entropy_backward) kernel::cross_entropy_backward{
    &cross_entropy_backward_cpu};

}  // namespace retrace
