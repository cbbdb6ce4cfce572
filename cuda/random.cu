// The same numbers as on the CPU: element i is a function of the stream and of i alone. A thread draws a
// block of four.
#include <retrace/core/kernels.h>
#include <retrace/core/philox.h>
#include <retrace/cuda/gpu.h>
#include <retrace/cuda/install.h>

#include <cmath>
#include <numbers>

namespace retrace::cuda {

namespace {

// Numbers are made in double whatever y's type is, so that f32 draws are f64 draws, rounded.

struct Uniform {
  double low, high;
  __device__ double operator()(const detail::PhiloxBlock& block, int k) const {
    return low + (high - low) * ((block.word[k] >> 8) * 0x1p-24);
  }
};

/// Box and Muller: a uniform number in (0, 1] and one in [0, 1) make two independent normal numbers.
struct Normal {
  double mean, std;
  __device__ double operator()(const detail::PhiloxBlock& block, int k) const {
    const int first = k / 2 * 2;
    const double radius = std::sqrt(-2 * std::log((block.word[first] + 1.0) * 0x1p-32));
    const double angle = 2 * std::numbers::pi * (block.word[first + 1] * 0x1p-32);
    return mean + std * radius * (k % 2 == 0 ? std::cos(angle) : std::sin(angle));
  }
};

/// y[i] = f(block of i, i % 4)
template <class T, class F>
__global__ void draw_kernel(std::int64_t n, RandomStream stream, T* y, F f) {
  for (std::int64_t b = thread_index(); 4 * b < n; b += thread_count()) {
    const detail::PhiloxBlock block = detail::philox_block(stream, static_cast<std::uint64_t>(b));
    for (int k = 0; k < 4 && 4 * b + k < n; ++k) y[4 * b + k] = static_cast<T>(f(block, k));
  }
}

template <class T>
__global__ void dropout_kernel(std::int64_t n, RandomStream stream, std::uint32_t threshold, Compute<T> scale,
                               const T* x, T* y) {
  for (std::int64_t b = thread_index(); 4 * b < n; b += thread_count()) {
    const detail::PhiloxBlock block = detail::philox_block(stream, static_cast<std::uint64_t>(b));
    for (int k = 0; k < 4 && 4 * b + k < n; ++k) {
      const auto v = static_cast<Compute<T>>(x[4 * b + k]);
      y[4 * b + k] = static_cast<T>((block.word[k] >> 8 < threshold ? Compute<T>{0} : scale) * v);
    }
  }
}

std::int64_t draws(const Tensor& y) { return ceil_div(y.numel(), 4); }

template <class F>
void draw(const char* op, const RandomStream& stream, Tensor& y, F f) {
  visit_float(op, y.dtype(), [&]<class T>(TypeTag<T>) {
    launch(y.device(), blocks_for(draws(y)), kThreads, &draw_kernel<T, F>, y.numel(), stream,
           y.mutable_data<T>(), f);
  });
}

void uniform(const RandomStream& stream, double low, double high, Tensor& y) {
  draw("uniform", stream, y, Uniform{low, high});
}

void normal(const RandomStream& stream, double mean, double std, Tensor& y) {
  draw("normal", stream, y, Normal{mean, std});
}

void dropout(const Tensor& x, const RandomStream& stream, double p, Tensor& y) {
  visit_any_float("dropout", x.dtype(), [&]<class T>(TypeTag<T>) {
    const auto scale = static_cast<Compute<T>>(1 / (1 - p));
    const auto threshold = static_cast<std::uint32_t>(std::ceil(p * 0x1p24));  // of a word's upper 24 bits
    launch(x.device(), blocks_for(draws(y)), kThreads, &dropout_kernel<T>, x.numel(), stream, threshold,
           scale, x.data<T>(), y.mutable_data<T>());
  });
}

}  // namespace

void install_random() {
  kernel::uniform.install(DeviceKind::cuda, &uniform);
  kernel::normal.install(DeviceKind::cuda, &normal);
  kernel::dropout.install(DeviceKind::cuda, &dropout);
}

}  // namespace retrace::cuda
