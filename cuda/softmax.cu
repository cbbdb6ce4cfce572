// A thread or a block for each line of the dimension: sums run in double.
#include <retrace/core/kernels.h>
#include <retrace/cuda/install.h>
#include <retrace/cuda/line.h>

namespace retrace::cuda {

namespace {

/// The lines of one dimension.
struct Lines {
  std::int64_t count;
  std::int64_t step;  ///< elements from one of a line to the next
  std::int64_t size;  ///< of a line

  Lines(const Shape& shape, int dim)
      : count(shape.numel() / shape[dim]), step(shape.numel_after(dim)), size(shape[dim]) {}

  template <class T>
  __device__ Line<T> of(T* x, std::int64_t line) const {
    return {x + line / step * step * size + line % step, step, size};
  }
};

// What becomes of one line.

struct Softmax {
  static constexpr const char* kName = "softmax";
  template <class Team, class T>
  __device__ static void run(Team, const Line<const T>& x, const Line<T>& y) {
    const Exponents all = exponents_of<Team>(x);
    for (auto i = Team::rank(); i < x.size; i += Team::kSize) y[i] = static_cast<T>(all.probability(x[i]));
  }
};

struct LogSoftmax {
  static constexpr const char* kName = "log_softmax";
  template <class Team, class T>
  __device__ static void run(Team, const Line<const T>& x, const Line<T>& y) {
    const Exponents all = exponents_of<Team>(x);
    const double log_sum = std::log(all.sum);
    for (auto i = Team::rank(); i < x.size; i += Team::kSize)
      y[i] = static_cast<T>(all.shifted(x[i]) - log_sum);
  }
};

/// dx = y (dy - sum(y dy))
struct SoftmaxBackward {
  static constexpr const char* kName = "softmax";
  template <class Team, class T>
  __device__ static void run(Team, const Line<const T>& y, const Line<const T>& dy, const Line<T>& dx) {
    double mean = 0;
    for (auto i = Team::rank(); i < y.size; i += Team::kSize)
      mean += static_cast<double>(y[i]) * static_cast<double>(dy[i]);
    mean = Team::sum(mean);
    for (auto i = Team::rank(); i < y.size; i += Team::kSize) dx[i] = y[i] * (dy[i] - static_cast<T>(mean));
  }
};

/// dx = dy - exp(y) sum(dy)
struct LogSoftmaxBackward {
  static constexpr const char* kName = "log_softmax";
  template <class Team, class T>
  __device__ static void run(Team, const Line<const T>& y, const Line<const T>& dy, const Line<T>& dx) {
    double sum = 0;
    for (auto i = Team::rank(); i < y.size; i += Team::kSize) sum += static_cast<double>(dy[i]);
    sum = Team::sum(sum);
    for (auto i = Team::rank(); i < y.size; i += Team::kSize)
      dx[i] = dy[i] - std::exp(y[i]) * static_cast<T>(sum);
  }
};

template <class Team, class F, class T>
__global__ void forward_kernel(Lines lines, const T* x, T* y) {
  for (auto l = Team::first_item(); l < lines.count; l += Team::item_step())
    F::run(Team{}, lines.of(x, l), lines.of(y, l));
}

template <class Team, class F, class T>
__global__ void backward_kernel(Lines lines, const T* y, const T* dy, T* dx) {
  for (auto l = Team::first_item(); l < lines.count; l += Team::item_step())
    F::run(Team{}, lines.of(y, l), lines.of(dy, l), lines.of(dx, l));
}

template <class F>
void forward(const Tensor& x, int dim, Tensor& y) {
  const Lines lines(x.shape(), dim);
  visit_float(F::kName, x.dtype(), [&]<class T>(TypeTag<T>) {
    with_team(lines.size, lines.step == 1, [&]<class Team>(Team) {
      launch(x.device(), Team::blocks_for(lines.count), kThreads, &forward_kernel<Team, F, T>, lines,
             x.data<T>(), y.mutable_data<T>());
    });
  });
}

template <class F>
void backward(const Tensor& y, const Tensor& dy, int dim, Tensor& dx) {
  const Lines lines(y.shape(), dim);
  visit_float(F::kName, y.dtype(), [&]<class T>(TypeTag<T>) {
    with_team(lines.size, lines.step == 1, [&]<class Team>(Team) {
      launch(y.device(), Team::blocks_for(lines.count), kThreads, &backward_kernel<Team, F, T>, lines,
             y.data<T>(), dy.data<T>(), dx.mutable_data<T>());
    });
  });
}

}  // namespace

void install_softmax() {
  kernel::softmax.install(DeviceKind::cuda, &forward<Softmax>);
  kernel::softmax_backward.install(DeviceKind::cuda, &backward<SoftmaxBackward>);
  kernel::log_softmax.install(DeviceKind::cuda, &forward<LogSoftmax>);
  kernel::log_softmax_backward.install(DeviceKind::cuda, &backward<LogSoftmaxBackward>);
}

}  // namespace retrace::cuda
