#include <retrace/core/fail.h>
#include <retrace/cuda/cudnn_descriptors.h>

#include <limits>

namespace retrace::cuda {

namespace {

int to_int(std::int64_t number) {
  if (number > std::numeric_limits<int>::max())
    fail<NotImplementedError>("conv2d", "extents and strides must be below 2^31 on a GPU, got {}", number);
  return static_cast<int>(number);
}

cudnnDataType_t type_of(DType dtype) {
  if (dtype == DType::f64) return CUDNN_DATA_DOUBLE;
  if (dtype == DType::bf16) return CUDNN_DATA_BFLOAT16;
  return dtype == DType::f16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
}

}  // namespace

TensorDescriptor::TensorDescriptor(const Shape& shape, DType dtype) {
  check(cudnnSetTensor4dDescriptor(*this, CUDNN_TENSOR_NCHW, type_of(dtype), to_int(shape[0]),
                                   to_int(shape[1]), to_int(shape[2]), to_int(shape[3])),
        "cudnnSetTensor4dDescriptor");
}

FilterDescriptor::FilterDescriptor(const Shape& shape, DType dtype) {
  check(cudnnSetFilter4dDescriptor(*this, type_of(dtype), CUDNN_TENSOR_NCHW, to_int(shape[0]),
                                   to_int(shape[1]), to_int(shape[2]), to_int(shape[3])),
        "cudnnSetFilter4dDescriptor");
}

ConvolutionDescriptor::ConvolutionDescriptor(const Conv2dOptions& options, DType dtype) {
  const auto& [stride, padding, dilation, groups, algorithm] = options;
  check(cudnnSetConvolution2dDescriptor(*this, to_int(padding.h), to_int(padding.w), to_int(stride.h),
                                        to_int(stride.w), to_int(dilation.h), to_int(dilation.w),
                                        CUDNN_CROSS_CORRELATION,
                                        dtype == DType::f64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT),
        "cudnnSetConvolution2dDescriptor");
  check(cudnnSetConvolutionGroupCount(*this, to_int(groups)), "cudnnSetConvolutionGroupCount");
  // The default would allow TF32, and f32 on a GPU would no longer be what it is on the CPU.
  check(cudnnSetConvolutionMathType(*this, is_reduced_float(dtype) ? CUDNN_TENSOR_OP_MATH : CUDNN_FMA_MATH),
        "cudnnSetConvolutionMathType");
}

}  // namespace retrace::cuda
