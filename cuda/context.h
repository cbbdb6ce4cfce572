#pragma once
// Internal: what is made once for each GPU, and how calls of CUDA report their errors.
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <retrace/core/allocator.h>

#include <memory>

namespace retrace::cuda {

/// A line of the sources.
struct Place {
  const char* file;
  int line;
  static constexpr Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

// Each throws DeviceError for what is not success: `[cuda] cudaMalloc must succeed, got ...`.
void check(cudaError_t status, const char* call, Place place = Place::here());
void check(cublasStatus_t status, const char* call, Place place = Place::here());
void check(cudnnStatus_t status, const char* call, Place place = Place::here());

/// A GPU's memory, its stream, in which all its work runs in order but for copies of what is staged, which
/// have one of their own, and the handles of the libraries that work in it. But for the memory, for one
/// thread at a time.
class Context {
 public:
  explicit Context(Device device);
  ~Context() = delete;  // lives as long as the program: tensors in static objects need it

  Allocator& allocator() const { return *allocator_; }
  cudaStream_t stream() const { return stream_; }
  cudaStream_t copies() const { return copies_; }
  /// Made at the first use.
  cublasHandle_t cublas();
  cudnnHandle_t cudnn();

 private:
  std::unique_ptr<Allocator> allocator_;
  cudaStream_t stream_ = nullptr;
  cudaStream_t copies_ = nullptr;
  cublasHandle_t cublas_ = nullptr;
  cudnnHandle_t cudnn_ = nullptr;
};

/// The context of a GPU that `device` gave; makes that GPU the current one.
Context& context(Device device);

}  // namespace retrace::cuda
