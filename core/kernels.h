#pragma once
#include <retrace/core/kernel.h>
#include <retrace/core/shape_rules.h>

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

// copies: core/cpu/copy.cpp. Any element type, the same for x and y, which do not overlap.
/// y = x, element by element in memory order.
extern constinit Kernel<void(const Tensor& x, Tensor& y)> copy;
extern constinit Kernel<void(Tensor& y, double value)> fill;
/// y = x[.., begin::step, ..] in dimension dim, with y's extent there.
extern constinit Kernel<void(const Tensor& x, int dim, std::int64_t begin, std::int64_t step, Tensor& y)>
    slice_copy;
/// x[.., begin::step, ..] = y in dimension dim, with y's extent there; the rest of x stays.
extern constinit Kernel<void(const Tensor& y, int dim, std::int64_t begin, std::int64_t step, Tensor& x)>
    slice_write;
/// Dimension d of y is dimension dims[d] of x.
extern constinit Kernel<void(const Tensor& x, const Permutation& dims, Tensor& y)> permute;

}  // namespace retrace::kernel
