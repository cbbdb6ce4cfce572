#pragma once
#include <retrace/core/kernel.h>

/// Every kernel. The caller allocates results and has checked the shapes; x may be y where it says "in
/// place".
namespace retrace::kernel {

// elementwise: core/cpu/elementwise.cpp. x and y broadcast to out; out may be x or y of the same shape.
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> add;
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> sub;
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> mul;
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> div;
/// y = scale x + shift; in place.
extern constinit Kernel<void(const Tensor& x, double scale, double shift, Tensor& y)> scale_shift;
extern constinit Kernel<void(const Tensor& x, Tensor& y)> exp;
extern constinit Kernel<void(const Tensor& x, Tensor& y)> tanh;
/// dx = dy (1 - y^2).
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, Tensor& dx)> tanh_backward;

}  // namespace retrace::kernel
