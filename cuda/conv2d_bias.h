#pragma once
// Internal: what a convolution adds to its products.
#include <retrace/core/kernels.h>

namespace retrace::cuda {

/// y = sum + bias, or residual +- that, rounded at each step; bias [C] and the residual may be undefined.
/// sum: [N, C, H, W]; y may be the sum or the residual.
void add_bias(const Tensor& sum, const Tensor& bias, const kernel::Residual& residual, Tensor& y);

}  // namespace retrace::cuda
