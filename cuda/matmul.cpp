#include <retrace/core/kernels.h>
#include <retrace/core/loops.h>
#include <retrace/cuda/context.h>
#include <retrace/cuda/install.h>
#include <retrace/cuda/scratch.h>

namespace retrace::cuda {

namespace {

// How cuBLAS names an element type, and what it computes in. Products of f32 are not those of TF32: that
// takes CUBLAS_COMPUTE_32F_FAST_TF32.
template <class T>
struct Gemm;
template <>
struct Gemm<float> {
  using Scale = float;
  static constexpr cudaDataType kType = CUDA_R_32F;
  static constexpr cublasComputeType_t kCompute = CUBLAS_COMPUTE_32F;
};
template <>
struct Gemm<double> {
  using Scale = double;
  static constexpr cudaDataType kType = CUDA_R_64F;
  static constexpr cublasComputeType_t kCompute = CUBLAS_COMPUTE_64F;
};
template <class Format>
struct Gemm<ReducedFloat<Format>> {
  using Scale = float;
  static constexpr cudaDataType kType = std::is_same_v<Format, BFloat16Format> ? CUDA_R_16BF : CUDA_R_16F;
  static constexpr cublasComputeType_t kCompute = CUBLAS_COMPUTE_32F;
};

/// The space that cuBLAS gets for parts of long sums: what it takes for itself where it is given none.
constexpr std::int64_t kWorkspace = std::int64_t{4} << 20;

/// The walk over the leading dimensions of out, in elements of a and b.
detail::Loops<2> matrices(const Shape& a, const Shape& b, const Shape& out) {
  const auto a_strides = detail::broadcast_strides(a, out);
  const auto b_strides = detail::broadcast_strides(b, out);
  detail::Loops<2> loops;
  for (std::size_t d = 0; d + 2 < static_cast<std::size_t>(out.rank()); ++d)
    loops.push({.extent = out.begin()[d], .strides = {a_strides[d], b_strides[d]}});
  return loops;
}

/// cuBLAS's matrices are column-major: to it ours are transposed, so out^T = op(b)^T op(a)^T. The innermost
/// loop over the batch is one call. A bias is put into out before, and cuBLAS adds to it before it rounds.
template <class T>
void multiply(const Tensor& a, const Tensor& b, const Tensor& bias, const MatmulOptions& options,
              Tensor& out) {
  if (bias.defined()) kernel::broadcast_to(bias, 1, out);
  const Shape shape = out.shape();
  const std::int64_t rows = shape[-2];
  const std::int64_t columns = shape[-1];
  const std::int64_t depth = a.shape()[options.transpose_a ? -2 : -1];
  const cublasOperation_t op_a = options.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t op_b = options.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  const T* from_a = a.data<T>();
  const T* from_b = b.data<T>();
  T* to = out.mutable_data<T>();
  const detail::Loops<2> batch = matrices(a.shape(), b.shape(), shape);
  const auto [count, strides] = batch.innermost();
  const typename Gemm<T>::Scale one = 1;
  const typename Gemm<T>::Scale kept = bias.defined() ? 1 : 0;
  cublasHandle_t handle = context(out.device()).cublas();
  const Scratch scratch(kWorkspace, out.device());
  check(cublasSetWorkspace(handle, scratch.data(), kWorkspace), "cublasSetWorkspace");
  for (std::int64_t call = 0; call < batch.numel() / count; ++call) {
    const auto at = batch.row_offsets(call);
    check(cublasGemmStridedBatchedEx_64(handle, op_b, op_a, columns, rows, depth, &one, from_b + at[1],
                                        Gemm<T>::kType, b.shape()[-1], strides[1], from_a + at[0],
                                        Gemm<T>::kType, a.shape()[-1], strides[0], &kept,
                                        to + call * count * rows * columns, Gemm<T>::kType, columns,
                                        rows * columns, count, Gemm<T>::kCompute, CUBLAS_GEMM_DEFAULT),
          "cublasGemmStridedBatchedEx_64");
  }
}

void matmul(const Tensor& a, const Tensor& b, const Tensor& bias, const MatmulOptions& options, Tensor& out) {
  visit_any_float("matmul", a.dtype(), [&]<class T>(TypeTag<T>) { multiply<T>(a, b, bias, options, out); });
}

}  // namespace

void install_matmul() { kernel::matmul.install(DeviceKind::cuda, &matmul); }

}  // namespace retrace::cuda
