#include <retrace/core/cpu/parallel.h>
#include <retrace/core/kernels.h>

#include <algorithm>
#include <cmath>

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

/// log sum_i exp(x_i), in double; the largest term is exp(0).
template <class T>
double log_sum_exp(const Line<const T>& x) {
  const auto most = static_cast<double>(max_of(x));
  double sum = 0;
  for (std::int64_t i = 0; i < x.size; ++i) sum += std::exp(static_cast<double>(x[i]) - most);
  return most + std::log(sum);
}

void softmax_cpu(const Tensor& x, int dim, Tensor& y) {
  visit_float("softmax", x.dtype(), [&]<class T>(TypeTag<T>) {
    for_each_line(x.shape(), dim, [from = x.data<T>(), to = y.mutable_data<T>()](const auto& line) {
      const Line<const T> in = line(from);
      const Line<T> out = line(to);
      const auto most = static_cast<double>(max_of(in));
      double sum = 0;
      for (std::int64_t i = 0; i < in.size; ++i) sum += std::exp(static_cast<double>(in[i]) - most);
      for (std::int64_t i = 0; i < in.size; ++i)
        out[i] = static_cast<T>(std::exp(static_cast<double>(in[i]) - most) / sum);
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
      const double total = log_sum_exp(in);
      for (std::int64_t i = 0; i < in.size; ++i) out[i] = static_cast<T>(static_cast<double>(in[i]) - total);
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

void cross_entropy_cpu(const Tensor& logits, const Tensor& labels, Tensor& loss) {
  const std::int64_t rows = logits.shape()[0];
  const std::int64_t classes = logits.shape()[1];
  Tensor row_loss({rows}, DType::f64, Tag::workspace);
  double* losses = row_loss.mutable_data<double>();
  visit_float("cross_entropy", logits.dtype(), [&]<class T>(TypeTag<T>) {
    const T* x = logits.data<T>();
    const std::int64_t* label = labels.data<std::int64_t>();
    parallel_for(rows, std::max<std::int64_t>(1, kGrain / classes),
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t r = begin; r < end; ++r) {
                     const Line<const T> row{x + r * classes, 1, classes};
                     losses[r] = log_sum_exp(row) - static_cast<double>(row[label[r]]);
                   }
                 });
    double sum = 0;
    for (std::int64_t r = 0; r < rows; ++r) sum += losses[r];
    *loss.mutable_data<T>() = static_cast<T>(sum / static_cast<double>(rows));
  });
}

void cross_entropy_backward_cpu(const Tensor& logits, const Tensor& labels, const Tensor& dloss,
                                Tensor& dlogits) {
  const std::int64_t rows = logits.shape()[0];
  const std::int64_t classes = logits.shape()[1];
  visit_float("cross_entropy", logits.dtype(), [&]<class T>(TypeTag<T>) {
    const T* x = logits.data<T>();
    const std::int64_t* label = labels.data<std::int64_t>();
    const double scale = static_cast<double>(*dloss.data<T>()) / static_cast<double>(rows);
    T* dx = dlogits.mutable_data<T>();
    parallel_for(
        rows, std::max<std::int64_t>(1, kGrain / classes), [=](std::int64_t begin, std::int64_t end) {
          for (std::int64_t r = begin; r < end; ++r) {
            const Line<const T> row{x + r * classes, 1, classes};
            const double total = log_sum_exp(row);
            for (std::int64_t c = 0; c < classes; ++c)
              dx[r * classes + c] = static_cast<T>(
                  scale * (std::exp(static_cast<double>(row[c]) - total) - (c == label[r] ? 1.0 : 0.0)));
          }
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
