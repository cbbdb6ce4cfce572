// Pooling. On the way back each element of dx looks up the outputs whose windows hold it, so that none is
// written twice.
#include <retrace/core/data_or_null.h>
#include <retrace/core/kernels.h>
#include <retrace/cuda/install.h>
#include <retrace/cuda/team.h>

#include <algorithm>
#include <cmath>

namespace retrace::cuda {

namespace {

/// The part [begin, end) of a dimension.
struct Range {
  std::int64_t begin, end;
};

/// One dimension of a pooling with a fixed kernel.
struct Windows {
  std::int64_t kernel, stride, padding;
  std::int64_t extent;   ///< of x
  std::int64_t outputs;  ///< of y

  /// What output i sees, without the padding.
  __device__ Range window(std::int64_t i) const {
    const std::int64_t begin = i * stride - padding;
    return {std::max<std::int64_t>(begin, 0), std::min(begin + kernel, extent)};
  }
  /// The outputs that see element r.
  __device__ Range seen_by(std::int64_t r) const {
    const std::int64_t end = r + padding;  // of the last window that begins at or before r
    return {end < kernel ? 0 : (end - kernel) / stride + 1, std::min(end / stride + 1, outputs)};
  }
  __device__ std::int64_t divisor(std::int64_t) const { return kernel; }
  std::int64_t typical_size() const { return kernel; }
};

/// One dimension of an adaptive grid.
struct Cells {
  std::int64_t extent;
  std::int64_t outputs;

  __device__ Range window(std::int64_t i) const { return overlap(i, outputs, extent); }
  __device__ Range seen_by(std::int64_t r) const { return overlap(r, extent, outputs); }
  __device__ std::int64_t divisor(std::int64_t i) const { return window(i).end - window(i).begin; }
  std::int64_t typical_size() const { return extent / outputs; }

 private:
  /// Where one of `parts` pieces of a line lies among the `others` pieces of the same line.
  __device__ static Range overlap(std::int64_t i, std::int64_t parts, std::int64_t others) {
    return {i * others / parts, ((i + 1) * others + parts - 1) / parts};
  }
};

/// The two dimensions of a plane.
template <class Axis>
struct Plane {
  Axis rows, columns;

  __device__ std::int64_t inputs() const { return rows.extent * columns.extent; }
  __device__ std::int64_t outputs() const { return rows.outputs * columns.outputs; }
};

Plane<Windows> windows_of(const Shape& x, const Shape& y, const Pool2dOptions& options) {
  const Size2d stride = options.stride.value_or(options.kernel);
  return {{options.kernel.h, stride.h, options.padding.h, x[2], y[2]},
          {options.kernel.w, stride.w, options.padding.w, x[3], y[3]}};
}

Plane<Cells> cells_of(const Shape& x, const Shape& y) { return {{x[2], y[2]}, {x[3], y[3]}}; }

/// y = the largest element of each window, places = where it is; the last NaN, if there is one.
template <class T>
__global__ void max_kernel(std::int64_t n, Plane<Windows> plane, const T* x, T* y, std::int32_t* places) {
  const std::int64_t width = plane.columns.extent;
  for (std::int64_t out = thread_index(); out < n; out += thread_count()) {
    const T* image = x + out / plane.outputs() * plane.inputs();
    const Range rows = plane.rows.window(out % plane.outputs() / plane.columns.outputs);
    const Range columns = plane.columns.window(out % plane.columns.outputs);
    std::int64_t best = rows.begin * width + columns.begin;
    auto most = static_cast<Compute<T>>(image[best]);
    for (std::int64_t r = rows.begin; r < rows.end; ++r)
      for (std::int64_t c = columns.begin; c < columns.end; ++c) {
        const auto value = static_cast<Compute<T>>(image[r * width + c]);
        if (!(value > most || std::isnan(value))) continue;
        most = value;
        best = r * width + c;
      }
    y[out] = image[best];
    if (places != nullptr) places[out] = static_cast<std::int32_t>(best);
  }
}

/// What an output adds to the gradient of element `place` of a plane: dy, if its maximum is there.
template <class T>
struct MaxShare {
  const T* dy;
  const std::int32_t* places;
  __device__ Compute<T> operator()(std::int64_t out, std::int64_t, std::int64_t, std::int64_t place) const {
    return places[out] == place ? static_cast<Compute<T>>(dy[out]) : Compute<T>{0};
  }
};

/// The same of a mean, whose output is in row i, column j.
template <class Axis, class T>
struct MeanShare {
  Plane<Axis> plane;
  const T* dy;
  __device__ Compute<T> operator()(std::int64_t out, std::int64_t i, std::int64_t j, std::int64_t) const {
    const std::int64_t divisor = plane.rows.divisor(i) * plane.columns.divisor(j);
    return static_cast<Compute<T>>(dy[out]) / static_cast<Compute<T>>(divisor);
  }
};

/// dx = the sum of the shares of the outputs that see each element, in order.
template <class Axis, class T, class Share>
__global__ void backward_kernel(std::int64_t n, Plane<Axis> plane, Share share, T* dx) {
  for (std::int64_t at = thread_index(); at < n; at += thread_count()) {
    const std::int64_t first = at / plane.inputs() * plane.outputs();
    const std::int64_t place = at % plane.inputs();
    const Range rows = plane.rows.seen_by(place / plane.columns.extent);
    const Range columns = plane.columns.seen_by(place % plane.columns.extent);
    Compute<T> sum = 0;
    for (std::int64_t i = rows.begin; i < rows.end; ++i)
      for (std::int64_t j = columns.begin; j < columns.end; ++j)
        sum += share(first + i * plane.columns.outputs + j, i, j, place);
    dx[at] = static_cast<T>(sum);
  }
}

/// y = the mean of each window.
template <class Team, class Axis, class T>
__global__ void mean_kernel(std::int64_t n, Plane<Axis> plane, const T* x, T* y) {
  for (auto out = Team::first_item(); out < n; out += Team::item_step()) {
    const std::int64_t i = out % plane.outputs() / plane.columns.outputs;
    const std::int64_t j = out % plane.columns.outputs;
    const Range rows = plane.rows.window(i);
    const Range columns = plane.columns.window(j);
    const T* image = x + out / plane.outputs() * plane.inputs() + columns.begin;
    const std::int64_t width = columns.end - columns.begin;
    std::int64_t r = rows.begin + Team::rank() / width;
    std::int64_t c = Team::rank() % width;
    Compute<T> sum = 0;
    while (r < rows.end) {  // the next kSize-th element
      sum += static_cast<Compute<T>>(image[r * plane.columns.extent + c]);
      r += Team::kSize / width;
      c += Team::kSize % width;
      if (c < width) continue;
      c -= width;
      ++r;
    }
    sum = Team::sum(sum);
    const std::int64_t divisor = plane.rows.divisor(i) * plane.columns.divisor(j);
    if (Team::rank() == 0) y[out] = static_cast<T>(sum / static_cast<Compute<T>>(divisor));
  }
}

template <class Axis>
void mean(const char* op, const Tensor& x, const Plane<Axis>& plane, Tensor& y) {
  const std::int64_t size = plane.rows.typical_size() * plane.columns.typical_size();
  visit_any_float(op, x.dtype(), [&]<class T>(TypeTag<T>) {
    with_team(size, true, [&]<class Team>(Team) {
      launch(x.device(), Team::blocks_for(y.numel()), kThreads, &mean_kernel<Team, Axis, T>, y.numel(), plane,
             x.data<T>(), y.mutable_data<T>());
    });
  });
}

template <class Axis>
void mean_backward(const char* op, const Tensor& dy, const Plane<Axis>& plane, Tensor& dx) {
  visit_any_float(op, dy.dtype(), [&]<class T>(TypeTag<T>) {
    using Share = MeanShare<Axis, T>;
    launch(dy.device(), blocks_for(dx.numel()), kThreads, &backward_kernel<Axis, T, Share>, dx.numel(), plane,
           Share{plane, dy.data<T>()}, dx.mutable_data<T>());
  });
}

void max_pool2d(const Tensor& x, const Pool2dOptions& options, Tensor& y, Tensor& indices) {
  visit_any_float("max_pool2d", x.dtype(), [&]<class T>(TypeTag<T>) {
    launch(x.device(), blocks_for(y.numel()), kThreads, &max_kernel<T>, y.numel(),
           windows_of(x.shape(), y.shape(), options), x.data<T>(), y.mutable_data<T>(),
           detail::mutable_data_or_null<std::int32_t>(indices));
  });
}

void max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Pool2dOptions& options, Tensor& dx) {
  visit_any_float("max_pool2d", dy.dtype(), [&]<class T>(TypeTag<T>) {
    using Share = MaxShare<T>;
    launch(dy.device(), blocks_for(dx.numel()), kThreads, &backward_kernel<Windows, T, Share>, dx.numel(),
           windows_of(dx.shape(), dy.shape(), options), Share{dy.data<T>(), indices.data<std::int32_t>()},
           dx.mutable_data<T>());
  });
}

void avg_pool2d(const Tensor& x, const Pool2dOptions& options, Tensor& y) {
  mean("avg_pool2d", x, windows_of(x.shape(), y.shape(), options), y);
}

void avg_pool2d_backward(const Tensor& dy, const Pool2dOptions& options, Tensor& dx) {
  mean_backward("avg_pool2d", dy, windows_of(dx.shape(), dy.shape(), options), dx);
}

void adaptive_avg_pool2d(const Tensor& x, Tensor& y) {
  mean("adaptive_avg_pool2d", x, cells_of(x.shape(), y.shape()), y);
}

void adaptive_avg_pool2d_backward(const Tensor& dy, Tensor& dx) {
  mean_backward("adaptive_avg_pool2d", dy, cells_of(dx.shape(), dy.shape()), dx);
}

}  // namespace

void install_pool() {
  kernel::max_pool2d.install(DeviceKind::cuda, &max_pool2d);
  kernel::max_pool2d_backward.install(DeviceKind::cuda, &max_pool2d_backward);
  kernel::avg_pool2d.install(DeviceKind::cuda, &avg_pool2d);
  kernel::avg_pool2d_backward.install(DeviceKind::cuda, &avg_pool2d_backward);
  kernel::adaptive_avg_pool2d.install(DeviceKind::cuda, &adaptive_avg_pool2d);
  kernel::adaptive_avg_pool2d_backward.install(DeviceKind::cuda, &adaptive_avg_pool2d_backward);
}

}  // namespace retrace::cuda
