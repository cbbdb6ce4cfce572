#pragma once
// What the words of CUDA C++ mean where a .cu file is compiled as C++, to run its kernels without a GPU: the
// threads of a block run one after another on the host, and change at barriers. Types and signatures are
// those of the real headers; host_layer.cpp defines the functions.
#include <cuda_runtime_api.h>
#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#define __global__
#define __device__
#define __host__
#define __shared__ static thread_local

#include <atomic>
#include <cmath>
#include <cstdint>
#include <tuple>

// The names of CUDA C++.
inline thread_local constinit uint3 threadIdx{0, 0, 0};
inline thread_local constinit uint3 blockIdx{0, 0, 0};
inline thread_local constinit dim3 blockDim{1, 1, 1};
inline thread_local constinit dim3 gridDim{1, 1, 1};
void __syncthreads();

namespace retrace::gpu_host {

/// Runs body(arg) for each thread of each block.
cudaError_t run_grid(dim3 blocks, dim3 threads, void (*body)(void*), void* arg);

/// `status`, which cudaGetLastError gives later where it is an error.
cudaError_t remember(cudaError_t status);

struct Counts;  // host_layer.h
Counts& mutable_counts();
/// For one of them: a loader's thread copies while another one launches.
inline void add(std::int64_t& count, std::int64_t more) { std::atomic_ref(count).fetch_add(more); }

}  // namespace retrace::gpu_host

namespace retrace::cuda {

template <class... Parameters, class... Args>
cudaError_t launch_kernel(dim3 blocks, dim3 threads, cudaStream_t, void (*kernel)(Parameters...),
                          const Args&... args) {
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> args;
  } call{kernel, std::tuple<Parameters...>(static_cast<Parameters>(args)...)};
  return gpu_host::run_grid(
      blocks, threads,
      [](void* arg) {
        auto* call = static_cast<Call*>(arg);
        std::apply(call->kernel, call->args);
      },
      &call);
}

}  // namespace retrace::cuda
