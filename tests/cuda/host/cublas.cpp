// The functions of cuBLAS that the backend calls, on the host, as its documentation describes them. The
// compiler checks them against the real header.
#include "elements.h"
#include "host_layer.h"

#include <cublas_v2.h>

#include <algorithm>
#include <cstring>

using retrace::DType;
using namespace retrace::gpu_host;

/// What a handle points to.
struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  void* workspace = nullptr;
  std::size_t bytes = 0;
};

namespace {

/// Matrices at even steps, each column-major; transposed where `op` says so.
struct Matrices {
  void* data;
  cudaDataType type;
  std::int64_t leading;
  long long step;
  cublasOperation_t op;

  DType dtype() const {
    if (type == CUDA_R_64F) return DType::f64;
    if (type == CUDA_R_32F) return DType::f32;
    return type == CUDA_R_16BF ? DType::bf16 : DType::f16;
  }
  std::int64_t offset(std::int64_t batch, std::int64_t row, std::int64_t column) const {
    const std::int64_t inside = op == CUBLAS_OP_N ? row + column * leading : column + row * leading;
    return batch * step + inside;
  }
  /// Whether the leading dimension is long enough for rows x columns matrices.
  bool holds(std::int64_t rows, std::int64_t columns) const {
    return leading >= std::max<std::int64_t>(1, op == CUBLAS_OP_N ? rows : columns);
  }
  bool on_device(std::int64_t rows, std::int64_t columns, std::int64_t batches) const {
    const std::int64_t elements = offset(batches - 1, rows - 1, columns - 1) + 1;
    return is_device_memory(data, static_cast<std::size_t>(elements) * retrace::size_of(dtype()));
  }
};

bool is_supported(cudaDataType type, cublasComputeType_t compute) {
  if (compute == CUBLAS_COMPUTE_64F) return type == CUDA_R_64F;
  return compute == CUBLAS_COMPUTE_32F && (type == CUDA_R_32F || type == CUDA_R_16BF || type == CUDA_R_16F);
}

/// sum_k a[row,k] b[k,column]. In two parts, as where a long sum is cut: unless the handle forbids it, parts
/// of a bf16 or f16 sum are rounded to that type.
double sum_of_products(const Matrices& a, const Matrices& b, std::int64_t batch, std::int64_t row,
                       std::int64_t column, std::int64_t depth, bool round_parts) {
  double total = 0;
  for (std::int64_t part = 0; part < 2; ++part) {
    double sum = 0;
    for (std::int64_t k = part * depth / 2; k < (part + 1) * depth / 2; ++k)
      sum += load(a.dtype(), a.data, a.offset(batch, row, k)) *
             load(b.dtype(), b.data, b.offset(batch, k, column));
    total += round_parts ? rounded(a.dtype(), sum) : sum;
  }
  return total;
}

double scalar(const void* value, cublasComputeType_t compute) {
  return compute == CUBLAS_COMPUTE_64F ? *static_cast<const double*>(value)
                                       : *static_cast<const float*>(value);
}

}  // namespace

extern "C" {

const char* cublasGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : "an error of the host layer's cuBLAS";
}
cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->math = mode;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, std::size_t bytes) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0) return CUBLAS_STATUS_INVALID_VALUE;
  handle->workspace = workspace;
  handle->bytes = bytes;
  return CUBLAS_STATUS_SUCCESS;
}

/// C = alpha op(A) op(B) + beta C for each matrix of the batch. A handle without a stream is refused, since
/// its work would not wait for the backend's, and so is one without a workspace, which nobody would count.
cublasStatus_t cublasGemmStridedBatchedEx_64(
    cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, std::int64_t m, std::int64_t n,
    std::int64_t k, const void* alpha, const void* a_data, cudaDataType a_type, std::int64_t a_leading,
    long long a_step, const void* b_data, cudaDataType b_type, std::int64_t b_leading, long long b_step,
    const void* beta, void* c_data, cudaDataType c_type, std::int64_t c_leading, long long c_step,
    std::int64_t batches, cublasComputeType_t compute, cublasGemmAlgo_t) {
  if (handle == nullptr || handle->stream == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const Matrices a{const_cast<void*>(a_data), a_type, a_leading, a_step, op_a};
  const Matrices b{const_cast<void*>(b_data), b_type, b_leading, b_step, op_b};
  const Matrices c{c_data, c_type, c_leading, c_step, CUBLAS_OP_N};
  if (m < 0 || n < 0 || k < 0 || batches < 0 || alpha == nullptr || beta == nullptr)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (!a.holds(m, k) || !b.holds(k, n) || !c.holds(m, n)) return CUBLAS_STATUS_INVALID_VALUE;
  if (batches > 1 && c_step < c_leading * n) return CUBLAS_STATUS_INVALID_VALUE;  // results that overlap
  if (a_type != b_type || a_type != c_type || !is_supported(a_type, compute))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (handle->bytes == 0 || !is_device_memory(handle->workspace, handle->bytes))
    return CUBLAS_STATUS_EXECUTION_FAILED;
  if (!a.on_device(m, k, batches) || !b.on_device(k, n, batches) || !c.on_device(m, n, batches))
    return CUBLAS_STATUS_EXECUTION_FAILED;
  count_library_call();
  const bool round_parts = retrace::is_reduced_float(c.dtype()) &&
                           (handle->math & CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION) == 0;
  const double scale = scalar(alpha, compute);
  const double keep = scalar(beta, compute);
  const DeviceAccess access;
  std::memset(handle->workspace, 0xff, handle->bytes);  // whoever else believes to own it sees NaN
  for (std::int64_t batch = 0; batch < batches; ++batch)
    for (std::int64_t column = 0; column < n; ++column)
      for (std::int64_t row = 0; row < m; ++row) {
        const std::int64_t at = c.offset(batch, row, column);
        const double kept =
            keep == 0 ? 0 : keep * load(c.dtype(), c_data, at);  // a beta of 0 does not read C
        store(c.dtype(), c_data, at,
              scale * sum_of_products(a, b, batch, row, column, k, round_parts) + kept);
      }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
