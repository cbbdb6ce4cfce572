#pragma once
#include <retrace/core/kernel.h>
#include <retrace/core/random.h>
#include <retrace/core/shape_rules.h>

/// Every kernel. The caller allocates results and has checked the shapes; x may be y where it says "in
/// place".
namespace retrace::kernel {

// elementwise: core/cpu/elementwise.cpp. x and y broadcast to out; out may be x or y of the same shape.
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> add;
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> sub;
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> mul;
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> div;
/// y = scale x, x broadcast to y's shape.
extern constinit Kernel<void(const Tensor& x, double scale, Tensor& y)> broadcast_to;
/// y = scale x + shift; in place.
extern constinit Kernel<void(const Tensor& x, double scale, double shift, Tensor& y)> scale_shift;
// Each y = f(x), in place.
extern constinit Kernel<void(const Tensor& x, Tensor& y)> exp;
extern constinit Kernel<void(const Tensor& x, Tensor& y)> log;
extern constinit Kernel<void(const Tensor& x, Tensor& y)> sqrt;
extern constinit Kernel<void(const Tensor& x, Tensor& y)> tanh;
extern constinit Kernel<void(const Tensor& x, Tensor& y)> sigmoid;
/// dx = dy / 2y.
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, Tensor& dx)> sqrt_backward;
/// dx = dy (1 - y^2).
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, Tensor& dx)> tanh_backward;
/// dx = dy y (1 - y).
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, Tensor& dx)> sigmoid_backward;

// activations whose derivative is a decision: core/cpu/activation.cpp; in place. Where `mask` is defined
// (u8 [ceil(numel / 8)]), bit i % 8 of byte i / 8 tells whether element i passed unchanged.
/// y = max(x, 0); bit: x > 0.
extern constinit Kernel<void(const Tensor& x, Tensor& y, Tensor& mask)> relu;
/// y = x > 0 ? x : slope x; bit: x > 0.
extern constinit Kernel<void(const Tensor& x, double slope, Tensor& y, Tensor& mask)> leaky_relu;
/// y = min(max(x, low), high); bit: low <= x <= high.
extern constinit Kernel<void(const Tensor& x, double low, double high, Tensor& y, Tensor& mask)> clamp;
/// dx = bit ? dy : slope dy; in place.
extern constinit Kernel<void(const Tensor& mask, const Tensor& dy, double slope, Tensor& dx)> masked_backward;

// reductions: core/cpu/reduce.cpp.
/// out = x summed over the dimensions in which out, of the same rank, has extent 1. Sums run in double.
extern constinit Kernel<void(const Tensor& x, Tensor& out)> sum_to;
/// y = index (i64) of the largest element of each row of the last dimension; the first of equal ones.
extern constinit Kernel<void(const Tensor& x, Tensor& y)> argmax;

// softmax and cross entropy: core/cpu/softmax.cpp. Sums run in double.
extern constinit Kernel<void(const Tensor& x, int dim, Tensor& y)> softmax;
/// dx = y (dy - sum(y dy)).
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, int dim, Tensor& dx)> softmax_backward;
extern constinit Kernel<void(const Tensor& x, int dim, Tensor& y)> log_softmax;
/// dx = dy - exp(y) sum(dy).
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, int dim, Tensor& dx)> log_softmax_backward;
/// loss = mean of -log softmax(logits [N, C])[labels [N] of type i64, in [0, C)].
extern constinit Kernel<void(const Tensor& logits, const Tensor& labels, Tensor& loss)> cross_entropy;
/// dlogits = (softmax(logits) - onehot(labels)) dloss / N.
extern constinit Kernel<void(const Tensor& logits, const Tensor& labels, const Tensor& dloss,
                             Tensor& dlogits)>
    cross_entropy_backward;

// random numbers: core/cpu/random.cpp. Element i depends on the stream and on i alone; f32 numbers are f64
// ones rounded.
/// Uniform in [low, high], in 2^24 steps.
extern constinit Kernel<void(const RandomStream& stream, double low, double high, Tensor& y)> uniform;
/// Normal with that mean and standard deviation.
extern constinit Kernel<void(const RandomStream& stream, double mean, double std, Tensor& y)> normal;
/// y = x / (1 - p) where uniform_at(stream, i) >= p, else 0; in place.
extern constinit Kernel<void(const Tensor& x, const RandomStream& stream, double p, Tensor& y)> dropout;

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
