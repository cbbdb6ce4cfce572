// The stand-ins of cuBLAS and cuDNN refuse what the libraries, or a GPU, would.
#include "../../support/catch.h"

#include <retrace/core/tensor.h>
#include <retrace/cuda/cudnn_descriptors.h>
#include <retrace/cuda/device.h>
#include <retrace/cuda/scratch.h>

using namespace retrace;

namespace {

Tensor on_gpu(const Shape& shape) { return Tensor::full(shape, 1, DType::f32, Tag::data, cuda::device(0)); }

/// C [2,3] = A [2,4] B [4,3] in column-major order, with those leading dimensions.
struct Gemm {
  Tensor a = on_gpu({8}), b = on_gpu({12}), c = on_gpu({6});
  std::int64_t a_leading = 2, b_leading = 4, c_leading = 2, batches = 1;
  cublasOperation_t op_a = CUBLAS_OP_N, op_b = CUBLAS_OP_N;
  cuda::Scratch scratch{1000, cuda::device(0)};
  std::size_t scratch_bytes = 1000;

  cublasStatus_t run() {
    const float one = 1;
    const float zero = 0;
    cublasHandle_t handle = cuda::context(cuda::device(0)).cublas();
    REQUIRE(cublasSetWorkspace(handle, scratch.data(), scratch_bytes) == CUBLAS_STATUS_SUCCESS);
    return cublasGemmStridedBatchedEx_64(handle, op_a, op_b, 2, 3, 4, &one, a.data<float>(), CUDA_R_32F,
                                         a_leading, 0, b.data<float>(), CUDA_R_32F, b_leading, 0, &zero,
                                         c.mutable_data<float>(), CUDA_R_32F, c_leading, 0, batches,
                                         CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  }
};

/// y [1,4,3,3] = x [1,2,5,5] * w [4,2,3,3]
struct Convolution {
  Tensor x = on_gpu({1, 2, 5, 5}), w = on_gpu({4, 2, 3, 3}), y = on_gpu({1, 4, 3, 3}),
         scratch = on_gpu({1 << 18});
  std::size_t bytes = std::size_t{1} << 20;
  Shape y_shape{1, 4, 3, 3};

  std::vector<cudnnStatus_t> run() {
    const cuda::TensorDescriptor of_x(x.shape(), DType::f32), of_y(y_shape, DType::f32);
    const cuda::FilterDescriptor of_w(w.shape(), DType::f32);
    const cuda::ConvolutionDescriptor how({}, DType::f32);
    const float one = 1;
    const float zero = 0;
    cudnnHandle_t handle = cuda::context(cuda::device(0)).cudnn();
    float* at = scratch.mutable_data<float>();
    return {cudnnConvolutionForward(handle, &one, of_x, x.data<float>(), of_w, w.data<float>(), how,
                                    CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD, at, bytes, &zero, of_y,
                                    y.mutable_data<float>()),
            cudnnConvolutionBackwardData(handle, &one, of_w, w.data<float>(), of_y, y.data<float>(), how,
                                         CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD, at, bytes, &zero, of_x,
                                         x.mutable_data<float>()),
            cudnnConvolutionBackwardFilter(handle, &one, of_x, x.data<float>(), of_y, y.data<float>(), how,
                                           CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING, at, bytes, &zero,
                                           of_w, w.mutable_data<float>())};
  }
};

std::vector<cudnnStatus_t> thrice(cudnnStatus_t status) { return {status, status, status}; }

}  // namespace

TEST_CASE("cuda host layer: cuBLAS refuses what does not fit", "[cuda][host]") {
  Gemm gemm;
  REQUIRE(gemm.run() == CUBLAS_STATUS_SUCCESS);
  SECTION("a leading dimension that is too small") {
    SECTION("of A") { gemm.a_leading = 1; }
    SECTION("of A, transposed") {
      gemm.op_a = CUBLAS_OP_T;
      gemm.a_leading = 3;
    }
    SECTION("of B") { gemm.b_leading = 3; }
    SECTION("of B, transposed") {
      gemm.op_b = CUBLAS_OP_T;
      gemm.b_leading = 2;
    }
    SECTION("of C") { gemm.c_leading = 1; }
    SECTION("results that overlap") { gemm.batches = 2; }
    CHECK(gemm.run() == CUBLAS_STATUS_INVALID_VALUE);
  }
  SECTION("memory of the host") {
    Tensor& x = gemm.*GENERATE(values({&Gemm::a, &Gemm::b, &Gemm::c}));
    x = x.to(Device::cpu(), Tag::data);
    CHECK(gemm.run() == CUBLAS_STATUS_EXECUTION_FAILED);
  }
  SECTION("no workspace") {
    gemm.scratch_bytes = 0;
    CHECK(gemm.run() == CUBLAS_STATUS_EXECUTION_FAILED);
  }
  SECTION("a workspace that is not aligned") {
    cublasHandle_t handle = cuda::context(cuda::device(0)).cublas();
    CHECK(cublasSetWorkspace(handle, static_cast<std::byte*>(gemm.scratch.data()) + 64, 100) ==
          CUBLAS_STATUS_INVALID_VALUE);
  }
}

TEST_CASE("cuda host layer: cuDNN's convolutions refuse what does not fit", "[cuda][host]") {
  Convolution convolution;
  REQUIRE(convolution.run() == thrice(CUDNN_STATUS_SUCCESS));
  SECTION("memory of the host") {
    Tensor& x = convolution.*
                GENERATE(values({&Convolution::x, &Convolution::w, &Convolution::y, &Convolution::scratch}));
    x = x.to(Device::cpu(), Tag::data);
    CHECK(convolution.run() == thrice(CUDNN_STATUS_EXECUTION_FAILED));
  }
  SECTION("scratch space that is too small") {
    --convolution.bytes;
    CHECK(convolution.run() == thrice(CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT));
  }
  SECTION("another result's shape") {
    convolution.y_shape = {1, 4, 3, 2};
    CHECK(convolution.run() == thrice(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH));
  }
}
