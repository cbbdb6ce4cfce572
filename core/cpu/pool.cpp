#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/reduced_float.h>
#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>

#include <algorithm>
#include <cmath>

namespace retrace {

namespace {

/// The part [begin, end) of a dimension that a window sees.
struct Range {
  std::int64_t begin, end;
};

/// The numbers of one pooling. Planes are independent: they are the items of the parallel loops.
struct Planes {
  Planes(const Shape& x, const Shape& y) : count(x[0] * x[1]), h(x[2]), w(x[3]), oh(y[2]), ow(y[3]) {}

  /// Runs f(plane) for all of them, in parallel.
  template <class F>
  void for_each(const F& f) const {
    cpu::parallel_for(count, std::max<std::int64_t>(1, cpu::kGrain / (h * w)),
                      [&](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t plane = begin; plane < end; ++plane) f(plane);
                      });
  }

  std::int64_t count, h, w, oh, ow;
};

/// The window of output i, without the padding.
Range window(std::int64_t i, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
             std::int64_t extent) {
  const std::int64_t begin = i * stride - padding;
  return {std::max<std::int64_t>(begin, 0), std::min(begin + kernel, extent)};
}

/// Row i of an adaptive grid with `cells` rows.
Range cell(std::int64_t i, std::int64_t cells, std::int64_t extent) {
  return {i * extent / cells, ((i + 1) * extent + cells - 1) / cells};
}

/// The window sizes and steps of a pooling with a fixed kernel.
struct Windows {
  explicit Windows(const Pool2dOptions& options)
      : kernel(options.kernel), stride(options.stride.value_or(options.kernel)), padding(options.padding) {}

  Range rows(std::int64_t i, const Planes& p) const { return window(i, kernel.h, stride.h, padding.h, p.h); }
  Range columns(std::int64_t j, const Planes& p) const {
    return window(j, kernel.w, stride.w, padding.w, p.w);
  }
  std::int64_t divisor(const Range&, const Range&) const { return kernel.h * kernel.w; }

  Size2d kernel, stride, padding;
};

struct Cells {
  Range rows(std::int64_t i, const Planes& p) const { return cell(i, p.oh, p.h); }
  Range columns(std::int64_t j, const Planes& p) const { return cell(j, p.ow, p.w); }
  std::int64_t divisor(const Range& rows, const Range& columns) const {
    return (rows.end - rows.begin) * (columns.end - columns.begin);
  }
};

/// The place of the largest element of a window; the last NaN, if there is one.
template <class T>
std::int64_t argmax(const T* x, std::int64_t width, const Range& rows, const Range& columns) {
  std::int64_t best = rows.begin * width + columns.begin;
  for (std::int64_t r = rows.begin; r < rows.end; ++r)
    for (std::int64_t c = columns.begin; c < columns.end; ++c) {
      const T value = x[r * width + c];
      if (value > x[best] || std::isnan(value)) best = r * width + c;
    }
  return best;
}

void max_pool2d_cpu(const Tensor& x, const Pool2dOptions& options, Tensor& y, Tensor& indices) {
  if (is_reduced_float(x.dtype()))
    return cpu::in_f32(x, y, [&](const Tensor& a, Tensor& b) { max_pool2d_cpu(a, options, b, indices); });
  visit_float("max_pool2d", x.dtype(), [&]<class T>(TypeTag<T>) {
    const Planes p(x.shape(), y.shape());
    const Windows windows(options);
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    std::int32_t* places = detail::mutable_data_or_null<std::int32_t>(indices);
    p.for_each([=](std::int64_t plane) {
      const T* image = from + plane * p.h * p.w;
      for (std::int64_t i = 0, out = plane * p.oh * p.ow; i < p.oh; ++i)
        for (std::int64_t j = 0; j < p.ow; ++j, ++out) {
          const std::int64_t best = argmax(image, p.w, windows.rows(i, p), windows.columns(j, p));
          to[out] = image[best];
          if (places != nullptr) places[out] = static_cast<std::int32_t>(best);
        }
    });
  });
}

void max_pool2d_backward_cpu(const Tensor& dy, const Tensor& indices, const Pool2dOptions& options,
                             Tensor& dx) {
  if (is_reduced_float(dy.dtype()))
    return cpu::in_f32(dy, dx,
                       [&](const Tensor& a, Tensor& b) { max_pool2d_backward_cpu(a, indices, options, b); });
  visit_float("max_pool2d", dy.dtype(), [&]<class T>(TypeTag<T>) {
    const Planes p(dx.shape(), dy.shape());
    const T* from = dy.data<T>();
    const std::int32_t* places = indices.data<std::int32_t>();
    T* to = dx.mutable_data<T>();
    p.for_each([=](std::int64_t plane) {
      T* image = to + plane * p.h * p.w;
      std::fill(image, image + p.h * p.w, T{0});
      for (std::int64_t i = plane * p.oh * p.ow; i < (plane + 1) * p.oh * p.ow; ++i)
        image[places[i]] += from[i];
    });
  });
}

template <class T, class Regions>
void mean(const Tensor& x, const Regions& regions, Tensor& y) {
  const Planes p(x.shape(), y.shape());
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  p.for_each([=](std::int64_t plane) {
    const T* image = from + plane * p.h * p.w;
    for (std::int64_t i = 0, out = plane * p.oh * p.ow; i < p.oh; ++i)
      for (std::int64_t j = 0; j < p.ow; ++j, ++out) {
        const Range rows = regions.rows(i, p);
        const Range columns = regions.columns(j, p);
        T sum = 0;
        for (std::int64_t r = rows.begin; r < rows.end; ++r)
          for (std::int64_t c = columns.begin; c < columns.end; ++c) sum += image[r * p.w + c];
        to[out] = sum / static_cast<T>(regions.divisor(rows, columns));
      }
  });
}

template <class T, class Regions>
void mean_backward(const Tensor& dy, const Regions& regions, Tensor& dx) {
  const Planes p(dx.shape(), dy.shape());
  const T* from = dy.data<T>();
  T* to = dx.mutable_data<T>();
  p.for_each([=](std::int64_t plane) {
    T* image = to + plane * p.h * p.w;
    std::fill(image, image + p.h * p.w, T{0});
    for (std::int64_t i = 0, out = plane * p.oh * p.ow; i < p.oh; ++i)
      for (std::int64_t j = 0; j < p.ow; ++j, ++out) {
        const Range rows = regions.rows(i, p);
        const Range columns = regions.columns(j, p);
        const T share = from[out] / static_cast<T>(regions.divisor(rows, columns));
        for (std::int64_t r = rows.begin; r < rows.end; ++r)
          for (std::int64_t c = columns.begin; c < columns.end; ++c) image[r * p.w + c] += share;
      }
  });
}

void avg_pool2d_cpu(const Tensor& x, const Pool2dOptions& options, Tensor& y) {
  if (is_reduced_float(x.dtype()))
    return cpu::in_f32(x, y, [&](const Tensor& a, Tensor& b) { avg_pool2d_cpu(a, options, b); });
  visit_float("avg_pool2d", x.dtype(), [&]<class T>(TypeTag<T>) { mean<T>(x, Windows(options), y); });
}

void avg_pool2d_backward_cpu(const Tensor& dy, const Pool2dOptions& options, Tensor& dx) {
  if (is_reduced_float(dy.dtype()))
    return cpu::in_f32(dy, dx, [&](const Tensor& a, Tensor& b) { avg_pool2d_backward_cpu(a, options, b); });
  visit_float("avg_pool2d", dy.dtype(),
              [&]<class T>(TypeTag<T>) { mean_backward<T>(dy, Windows(options), dx); });
}

void adaptive_avg_pool2d_cpu(const Tensor& x, Tensor& y) {
  if (is_reduced_float(x.dtype())) return cpu::in_f32(x, y, adaptive_avg_pool2d_cpu);
  visit_float("adaptive_avg_pool2d", x.dtype(), [&]<class T>(TypeTag<T>) { mean<T>(x, Cells(), y); });
}

void adaptive_avg_pool2d_backward_cpu(const Tensor& dy, Tensor& dx) {
  if (is_reduced_float(dy.dtype())) return cpu::in_f32(dy, dx, adaptive_avg_pool2d_backward_cpu);
  visit_float("adaptive_avg_pool2d", dy.dtype(),
              [&]<class T>(TypeTag<T>) { mean_backward<T>(dy, Cells(), dx); });
}

}  // namespace

constinit decltype(kernel::max_pool2d) kernel::max_pool2d{&max_pool2d_cpu};
constinit decltype(kernel::max_pool2d_backward) kernel::max_pool2d_backward{&max_pool2d_backward_cpu};
constinit decltype(kernel::avg_pool2d) kernel::avg_pool2d{&avg_pool2d_cpu};
constinit decltype(kernel::avg_pool2d_backward) kernel::avg_pool2d_backward{&avg_pool2d_backward_cpu};
constinit decltype(kernel::adaptive_avg_pool2d) kernel::adaptive_avg_pool2d{&adaptive_avg_pool2d_cpu};
constinit decltype(kernel::adaptive_avg_pool2d_backward) kernel::adaptive_avg_pool2d_backward{
    &adaptive_avg_pool2d_backward_cpu};

}  // namespace retrace
