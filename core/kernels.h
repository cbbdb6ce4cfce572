#pragma once
#include <retrace/core/kernel.h>
#include <retrace/core/optimizer_options.h>

/// Every kernel. The caller allocates results and has checked the shapes; x may be y where it says "in place".
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

// core/cpu/optimizer.cpp: one step of one parameter and its state, in place. Undefined states are not used.
/// `first`: momentum_buffer is the gradient itself, without dampening.
extern constinit Kernel<void(const SgdOptions& options, bool first, const Tensor& grad, Tensor& momentum_buffer,
                             Tensor& parameter)>
    sgd_step;
/// `step` counts from 1.
extern constinit Kernel<void(const AdamOptions& options, std::int64_t step, const Tensor& grad, Tensor& exp_avg,
                             Tensor& exp_avg_sq, Tensor& parameter)>
    adam_step;
extern constinit Kernel<void(const RmspropOptions& options, const Tensor& grad, Tensor& square_avg, Tensor& grad_avg,
                             Tensor& momentum_buffer, Tensor& parameter)>
    rmsprop_step;
/// y = x clamped to [-limit, limit]; a NaN stays. In place.
extern constinit Kernel<void(const Tensor& x, double limit, Tensor& y)> clip;
/// out = sum of x^2; out: [] f64.
extern constinit Kernel<void(const Tensor& x, Tensor& out)> square_sum;

}  // namespace retrace::kernel
