#pragma once
// Internal: what every .cu file includes. nvcc compiles it for GPUs; the tests compile the same file as C++
// for a machine without one, where gpu_host.h (tests/cuda/host) gives the words of CUDA C++ a meaning.
#include <retrace/core/reduced_float.h>
#include <retrace/cuda/context.h>

#include <algorithm>
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_runtime.h>
namespace retrace::cuda {
template <class... Parameters, class... Args>
cudaError_t launch_kernel(dim3 blocks, dim3 threads, cudaStream_t stream, void (*kernel)(Parameters...),
                          const Args&... args) {
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(args)...);
}
}  // namespace retrace::cuda
#else
#include <gpu_host.h>
#endif

namespace retrace::cuda {

/// Threads of a block, where nothing speaks for another number.
inline constexpr int kThreads = 256;

/// The device of a launch and, for its error, the line.
struct On {
  On(Device where, Place line = Place::here()) : device(where), place(line) {}  // NOLINT: implicit by intent
  Device device;
  Place place;
};

/// Runs a kernel in the device's stream, in `blocks` blocks of `threads` threads.
template <class... Parameters, class... Args>
void launch(const On& on, std::int64_t blocks, int threads, void (*kernel)(Parameters...),
            const Args&... args) {
  check(launch_kernel(dim3(static_cast<unsigned>(blocks)), dim3(static_cast<unsigned>(threads)),
                      context(on.device).stream(), kernel, args...),
        "cudaLaunchKernelExC", on.place);
}

/// a / b, rounded up.
inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// The blocks for n elements, one a thread; where that were too many, threads take several.
inline std::int64_t blocks_for(std::int64_t n, int threads = kThreads) {
  return std::clamp<std::int64_t>(ceil_div(n, threads), 1, std::int64_t{1} << 20);
}

/// This thread's number among those of all blocks, and how many there are: kernels take elements
/// thread_index(), thread_index() + thread_count(), ...
__device__ inline std::int64_t thread_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t thread_count() { return static_cast<std::int64_t>(gridDim.x) * blockDim.x; }

/// The values of all kSize threads of a block, combined by op(a, b) in a fixed order: the upper half joins
/// the lower one until one value is left. Every thread of the block must call it, and gets the result.
template <int kSize, class V, class Op>
__device__ V block_reduce(V value, Op op) {
  static_assert((kSize & (kSize - 1)) == 0, "a power of 2");
  __shared__ V values[kSize];
  const int t = static_cast<int>(threadIdx.x);
  __syncthreads();  // a result before may still be read
  values[t] = value;
  __syncthreads();
  for (int half = kSize / 2; half > 0; half /= 2) {
    if (t < half) values[t] = op(values[t], values[t + half]);
    __syncthreads();
  }
  return values[0];
}

struct Plus {
  template <class V>
  __device__ V operator()(V a, V b) const {
    return a + b;
  }
};
struct Larger {
  template <class V>
  __device__ V operator()(V a, V b) const {
    return a < b ? b : a;
  }
};

template <int kSize, class V>
__device__ V block_sum(V value) {
  return block_reduce<kSize>(value, Plus{});
}
template <int kSize, class V>
__device__ V block_max(V value) {
  return block_reduce<kSize>(value, Larger{});
}

}  // namespace retrace::cuda
