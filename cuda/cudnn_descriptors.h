#pragma once
// Internal: cuDNN's descriptions of tensors, filters and convolutions.
#include <retrace/core/dtype.h>
#include <retrace/core/shape_rules.h>
#include <retrace/cuda/context.h>

namespace retrace::cuda {

/// Owns a description that cuDNN made.
template <class Handle, cudnnStatus_t (*Create)(Handle*), cudnnStatus_t (*Destroy)(Handle)>
class Descriptor {
 public:
  Descriptor() { check(Create(&handle_), "cudnnCreateDescriptor"); }
  ~Descriptor() { Destroy(handle_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  operator Handle() const { return handle_; }  // NOLINT: implicit by intent

 private:
  Handle handle_ = nullptr;
};

/// A contiguous tensor [N, C, H, W].
class TensorDescriptor : public Descriptor<cudnnTensorDescriptor_t, &cudnnCreateTensorDescriptor,
                                           &cudnnDestroyTensorDescriptor> {
 public:
  /// Throws NotImplementedError for an extent of 2^31 or more.
  TensorDescriptor(const Shape& shape, DType dtype);
};

/// Filters [O, C / groups, h, w].
class FilterDescriptor : public Descriptor<cudnnFilterDescriptor_t, &cudnnCreateFilterDescriptor,
                                           &cudnnDestroyFilterDescriptor> {
 public:
  /// Throws NotImplementedError for an extent of 2^31 or more.
  FilterDescriptor(const Shape& shape, DType dtype);
};

/// A convolution of tensors of that type: sums of f32, bf16 and f16 run in f32, and products of f32 are not
/// those of TF32, which keeps 11 bits of each factor.
class ConvolutionDescriptor
    : public Descriptor<cudnnConvolutionDescriptor_t, &cudnnCreateConvolutionDescriptor,
                        &cudnnDestroyConvolutionDescriptor> {
 public:
  /// Throws NotImplementedError for a stride of 2^31 or more.
  ConvolutionDescriptor(const Conv2dOptions& options, DType dtype);
};

}  // namespace retrace::cuda
