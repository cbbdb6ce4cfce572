#pragma once
#include <retrace/core/kernel.h>
#include <retrace/core/optimizer_options.h>
#include <retrace/core/random.h>
#include <retrace/core/shape_rules.h>

/// Every kernel. The caller allocates results and has checked the shapes; x may be y where it says "in
/// place". Tensors of one call have one element type, unless it says otherwise; most families take bf16 and
/// f16, too.
namespace retrace::kernel {

// elementwise: core/cpu/elementwise.cpp
/// out = x + y, to whose shape both broadcast; out may be x or y of that shape, here and in the next three.
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> add;
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> sub;  ///< out = x - y
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> mul;  ///< out = x y
extern constinit Kernel<void(const Tensor& x, const Tensor& y, Tensor& out)> div;  ///< out = x / y
/// dy = -dz (z / y), the gradient of z = x / y; y broadcasts to the shape of the others.
extern constinit Kernel<void(const Tensor& y, const Tensor& z, const Tensor& dz, Tensor& dy)> div_backward;
/// y = x / divisor, x broadcast to y's shape; in place.
extern constinit Kernel<void(const Tensor& x, double divisor, Tensor& y)> broadcast_to;
/// y = scale x + shift; in place.
extern constinit Kernel<void(const Tensor& x, double scale, double shift, Tensor& y)> scale_shift;
/// The shift that leaves scale x as it is: with +0 a product of -0 would become +0.
inline constexpr double kNoShift = -0.0;
extern constinit Kernel<void(const Tensor& x, Tensor& y)> exp;      ///< y = e^x; in place
extern constinit Kernel<void(const Tensor& x, Tensor& y)> log;      ///< y = ln x; in place
extern constinit Kernel<void(const Tensor& x, Tensor& y)> sqrt;     ///< y = sqrt(x); in place
extern constinit Kernel<void(const Tensor& x, Tensor& y)> tanh;     ///< y = tanh(x); in place
extern constinit Kernel<void(const Tensor& x, Tensor& y)> sigmoid;  ///< y = 1 / (1 + e^-x); in place
/// dx = 2 x dy.
extern constinit Kernel<void(const Tensor& x, const Tensor& dy, Tensor& dx)> square_backward;
/// dx = dy / 2y.
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, Tensor& dx)> sqrt_backward;
/// dx = dy (1 - y^2).
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, Tensor& dx)> tanh_backward;
/// dx = dy y (1 - y).
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, Tensor& dx)> sigmoid_backward;
/// y = x Phi(x), Phi(x) = (1 + erf(x / sqrt(2))) / 2.
extern constinit Kernel<void(const Tensor& x, Tensor& y)> gelu;
/// y = x (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3).
extern constinit Kernel<void(const Tensor& x, Tensor& y)> gelu_tanh;
/// y = x / (1 + e^-x).
extern constinit Kernel<void(const Tensor& x, Tensor& y)> silu;
/// dx = dy gelu'(x).
extern constinit Kernel<void(const Tensor& x, const Tensor& dy, Tensor& dx)> gelu_backward;
/// dx = dy gelu_tanh'(x).
extern constinit Kernel<void(const Tensor& x, const Tensor& dy, Tensor& dx)> gelu_tanh_backward;
/// dx = dy silu'(x).
extern constinit Kernel<void(const Tensor& x, const Tensor& dy, Tensor& dx)> silu_backward;

// activations whose derivative is a decision: core/cpu/activation.cpp
/// y = max(x, 0); bit: x > 0, or a NaN. In place, as the next ones. Where `mask` is defined (u8 [ceil(numel /
/// 8)]), bit i % 8 of byte i / 8 tells whether element i passed unchanged.
extern constinit Kernel<void(const Tensor& x, Tensor& y, Tensor& mask)> relu;
/// y = x > 0 ? x : slope x; bit: x > 0.
extern constinit Kernel<void(const Tensor& x, double slope, Tensor& y, Tensor& mask)> leaky_relu;
/// y = min(max(x, low), high); bit: low <= x <= high.
extern constinit Kernel<void(const Tensor& x, double low, double high, Tensor& y, Tensor& mask)> clamp;
/// dx = bit ? dy : 0, of an infinite or NaN dy, too; in place.
extern constinit Kernel<void(const Tensor& mask, const Tensor& dy, Tensor& dx)> masked_backward;
/// dx = bit ? dy : slope dy; in place.
extern constinit Kernel<void(const Tensor& mask, const Tensor& dy, double slope, Tensor& dx)>
    leaky_relu_backward;
/// y = |x|; mask (u8 [2, ceil(numel / 8)]) has a row for x > 0 and one for x < 0.
extern constinit Kernel<void(const Tensor& x, Tensor& y, Tensor& mask)> abs;
/// dx = dy, -dy or, where neither bit is set, 0 dy; in place.
extern constinit Kernel<void(const Tensor& mask, const Tensor& dy, Tensor& dx)> abs_backward;

// reductions: core/cpu/reduce.cpp.
/// out = x summed over the dimensions in which out, of the same rank, has extent 1, divided by `divisor`.
/// Sums run in double.
extern constinit Kernel<void(const Tensor& x, double divisor, Tensor& out)> sum_to;
/// y = index (i64) of the largest element of each row of the last dimension; the first of equal ones. A NaN
/// is larger than all numbers.
extern constinit Kernel<void(const Tensor& x, Tensor& y)> argmax;
/// y[n] (i64) = how many elements of row n of x [N, C] come before the one at labels[n] when the largest come
/// first, NaNs before them, and equal ones in their order; C for a label outside [0, C) or at a NaN.
extern constinit Kernel<void(const Tensor& x, const Tensor& labels, Tensor& y)> label_rank;

// softmax and cross entropy: core/cpu/softmax.cpp
/// y = e^x / sum(e^x) along dim. Sums run in double, here and in the next ones.
extern constinit Kernel<void(const Tensor& x, int dim, Tensor& y)> softmax;
/// dx = y (dy - sum(y dy)).
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, int dim, Tensor& dx)> softmax_backward;
/// y = x - ln sum(e^x) along dim.
extern constinit Kernel<void(const Tensor& x, int dim, Tensor& y)> log_softmax;
/// dx = dy - exp(y) sum(dy).
extern constinit Kernel<void(const Tensor& y, const Tensor& dy, int dim, Tensor& dx)> log_softmax_backward;
/// With p = log softmax(logits [N, C]), w = weight [C] (all 1 when undefined) and s = label_smoothing, row n
/// has -(1 - s) w[label] p[label] - s / C sum_c w[c] p[c], and 0 where its label is ignore_index; labels
/// [N]: i64, in [0, C). loss = the rows' sum / divisor, or each row / divisor when it is [N].
extern constinit Kernel<void(const Tensor& logits, const Tensor& labels, const Tensor& weight,
                             double label_smoothing, std::int64_t ignore_index, double divisor, Tensor& loss)>
    cross_entropy;
/// dlogits = dloss d(loss) / d(logits), with the loss of `cross_entropy`.
extern constinit Kernel<void(const Tensor& logits, const Tensor& labels, const Tensor& weight,
                             double label_smoothing, std::int64_t ignore_index, double divisor,
                             const Tensor& dloss, Tensor& dlogits)>
    cross_entropy_backward;

/// loss = (x - y)^2 / divisor, element by element, or the sum of these where loss is a scalar; sums run in
/// double. Defined in core/cpu/loss.cpp.
extern constinit Kernel<void(const Tensor& x, const Tensor& y, double divisor, Tensor& loss)> mse_loss;
/// dx = 2 (x - y) dloss / divisor, where dloss has x's shape or is a scalar.
extern constinit Kernel<void(const Tensor& x, const Tensor& y, double divisor, const Tensor& dloss,
                             Tensor& dx)>
    mse_loss_backward;

/// y = -pos_weight target log sigmoid(x) - (1 - target) log(1 - sigmoid(x)); all of one shape, pos_weight may
/// be undefined. Defined in core/cpu/loss.cpp.
extern constinit Kernel<void(const Tensor& x, const Tensor& target, const Tensor& pos_weight, Tensor& y)>
    bce_with_logits;
/// dx = dy (sigmoid(x) (1 + (pos_weight - 1) target) - pos_weight target).
extern constinit Kernel<void(const Tensor& x, const Tensor& target, const Tensor& pos_weight,
                             const Tensor& dy, Tensor& dx)>
    bce_with_logits_backward;

// random numbers: core/cpu/random.cpp
/// Uniform in [low, high], in 2^24 steps. Element i depends on the stream and on i alone, and f32 numbers are
/// f64 ones rounded, here and in the next ones.
extern constinit Kernel<void(const RandomStream& stream, double low, double high, Tensor& y)> uniform;
/// Normal with that mean and standard deviation.
extern constinit Kernel<void(const RandomStream& stream, double mean, double std, Tensor& y)> normal;
/// y = x / (1 - p) where uniform_at(stream, i) >= p, else 0 x; in place.
extern constinit Kernel<void(const Tensor& x, const RandomStream& stream, double p, Tensor& y)> dropout;

// core/cpu/optimizer.cpp
/// A parameter in a step of an optimizer.
struct ParameterStep {
  Tensor gradient;      ///< of the parameter's shape and type
  Tensors state;        ///< what the optimizer keeps for it, in the order of the step's `state`
  std::int64_t number;  ///< of the parameter's steps, from 1
  Tensor parameter;     ///< what is changed
};
/// Those of one step: on one device, each of a floating-point type of its own.
struct ParameterSteps {
  std::vector<ParameterStep> steps;                                   ///< at least one
  Device device() const { return steps.front().parameter.device(); }  ///< the one on which all of them are
};
/// One step of all parameters and their states, in place, in one pass.
/// state: momentum_buffer if there is a momentum; in the first step it is the gradient itself, without
/// dampening.
extern constinit Kernel<void(const SgdOptions& options, ParameterSteps& steps)> sgd_step;
/// state: exp_avg, exp_avg_sq.
extern constinit Kernel<void(const AdamOptions& options, ParameterSteps& steps)> adam_step;
/// state: square_avg, grad_avg if centered, momentum_buffer if there is a momentum.
extern constinit Kernel<void(const RmspropOptions& options, ParameterSteps& steps)> rmsprop_step;
/// The sum of (scale x)^2, in double.
extern constinit Kernel<double(const Tensor& x, double scale)> square_sum;
/// What `magnitudes` finds.
struct Magnitudes {
  double smallest;  ///< the least |x|
  double largest;   ///< the greatest |x|
};
/// The range of |x|, where a NaN counts as infinite.
extern constinit Kernel<Magnitudes(const Tensor& x)> magnitudes;

// core/cpu/matmul.cpp
/// out = a b + bias for each matrix of a batch; the leading dimensions of a and b broadcast to those of out.
/// bias: one number for each column; may be undefined.
extern constinit Kernel<void(const Tensor& a, const Tensor& b, const Tensor& bias,
                             const MatmulOptions& options, Tensor& out)>
    matmul;

// core/cpu/conv2d.cpp
/// What a result is added to or subtracted from, if anything.
struct Residual {
  Tensor value{};          ///< of the result's shape; undefined: nothing
  Sign sign = Sign::plus;  ///< added or subtracted
};
/// y = x * w + bias; bias may be undefined. With a residual y = residual + that, or - that, rounded as if
/// the sum were complete before; y may be the residual.
extern constinit Kernel<void(const Tensor& x, const Tensor& w, const Tensor& bias,
                             const Conv2dOptions& options, const Residual& residual, Tensor& y)>
    conv2d;
/// dx[n, c] = sum over o of dy[n, o] correlated with the turned w[o, c]: the gradient of conv2d's x. A
/// residual as for conv2d.
extern constinit Kernel<void(const Tensor& dy, const Tensor& w, const Conv2dOptions& options,
                             const Residual& residual, Tensor& dx)>
    conv2d_backward_data;
/// dw[o, c] = sum over n of x[n, c] correlated with dy[n, o]: the gradient of conv2d's w.
extern constinit Kernel<void(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, Tensor& dw)>
    conv2d_backward_weight;

// core/cpu/batch_norm.cpp
/// Normalises by the batch's statistics; writes them to mean and rstd = 1 / sqrt(var + eps), and moves the
/// running ones towards them unless those are undefined. x: [N, C, ...], all others but y and mask: [C]. With
/// `relu`, y = max(that, 0) and its decisions go to `mask` as kernel::relu's do, unless that is undefined.
extern constinit Kernel<void(const Tensor& x, const Tensor& gamma, const Tensor& beta, double momentum,
                             double eps, bool relu, Tensor& running_mean, Tensor& running_var, Tensor& mean,
                             Tensor& rstd, Tensor& y, Tensor& mask)>
    batch_norm_training;
/// y = gamma (x - mean) rstd + beta.
extern constinit Kernel<void(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& gamma,
                             const Tensor& beta, bool relu, Tensor& y, Tensor& mask)>
    batch_norm_normalize;
/// rstd = 1 / sqrt(var + eps).
extern constinit Kernel<void(const Tensor& var, double eps, Tensor& rstd)> batch_norm_rstd;
/// With `training`, dx includes the way through the batch's statistics. Undefined results are not computed; x
/// may be undefined when neither dgamma nor (in training) dx is asked for, gamma when dx is not. `mask` is
/// that of the ReLU behind the batch norm, undefined without one; dx may be dy. A residual is added to dx, or
/// dx is subtracted from it, rounded as if dx were complete before; dx may be the residual.
extern constinit Kernel<void(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                             const Tensor& rstd, const Tensor& mask, bool training, const Residual& residual,
                             Tensor& dx, Tensor& dgamma, Tensor& dbeta)>
    batch_norm_backward;

// core/cpu/group_norm.cpp
/// y = gamma (x - mean) rstd + beta with the mean and rstd = 1 / sqrt(var + eps) of each group of channels.
/// x: [N, C, ...], gamma, beta (may be undefined): [C], mean, rstd: [N groups].
extern constinit Kernel<void(const Tensor& x, const Tensor& gamma, const Tensor& beta, std::int64_t groups,
                             double eps, Tensor& mean, Tensor& rstd, Tensor& y)>
    group_norm;
/// Undefined results are not computed.
extern constinit Kernel<void(const Tensor& dy, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                             const Tensor& rstd, std::int64_t groups, Tensor& dx, Tensor& dgamma)>
    group_norm_backward;

// core/cpu/embedding.cpp
/// y = the rows of weight at `indices`. weight: [V, D], indices [...]: i64, in [0, V), y: [..., D].
extern constinit Kernel<void(const Tensor& weight, const Tensor& indices, Tensor& y)> embedding;
/// dweight[v] = the sum of dy where the index is v, in order and in double; 0 for v = padding_idx.
extern constinit Kernel<void(const Tensor& dy, const Tensor& indices, std::int64_t padding_idx,
                             Tensor& dweight)>
    embedding_backward;

// core/cpu/pool.cpp
/// indices (i32, y's shape, may be undefined): where in x's plane each maximum is.
extern constinit Kernel<void(const Tensor& x, const Pool2dOptions& options, Tensor& y, Tensor& indices)>
    max_pool2d;
/// options: those of forward, by which a GPU finds the windows that hold an element.
extern constinit Kernel<void(const Tensor& dy, const Tensor& indices, const Pool2dOptions& options,
                             Tensor& dx)>
    max_pool2d_backward;
/// y = the mean of each window; the padding counts as zeros.
extern constinit Kernel<void(const Tensor& x, const Pool2dOptions& options, Tensor& y)> avg_pool2d;
/// dx = the sum of dy / (kernel.h kernel.w) over the windows that hold the element.
extern constinit Kernel<void(const Tensor& dy, const Pool2dOptions& options, Tensor& dx)> avg_pool2d_backward;
/// The grid is y's plane.
extern constinit Kernel<void(const Tensor& x, Tensor& y)> adaptive_avg_pool2d;
/// dx = the sum of dy / (elements of the cell) over the cells that hold the element.
extern constinit Kernel<void(const Tensor& dy, Tensor& dx)> adaptive_avg_pool2d_backward;

// copies: core/cpu/copy.cpp
/// y = x, element by element in memory order. Any element type, the same for x and y, which do not overlap,
/// here and in the next ones.
extern constinit Kernel<void(const Tensor& x, Tensor& y)> copy;
extern constinit Kernel<void(Tensor& y, double value)> fill;  ///< y = value, converted to y's type
/// y = x[.., begin::step, ..] in dimension dim, with y's extent there.
extern constinit Kernel<void(const Tensor& x, int dim, std::int64_t begin, std::int64_t step, Tensor& y)>
    slice_copy;
/// x[.., begin::step, ..] = y in dimension dim, with y's extent there; the rest of x stays.
extern constinit Kernel<void(const Tensor& y, int dim, std::int64_t begin, std::int64_t step, Tensor& x)>
    slice_write;
/// Dimension d of y is dimension dims[d] of x.
extern constinit Kernel<void(const Tensor& x, const Permutation& dims, Tensor& y)> permute;

// core/cpu/reduced_float.cpp
/// y = x, both floating-point; the narrower type rounds.
extern constinit Kernel<void(const Tensor& x, Tensor& y)> cast;

}  // namespace retrace::kernel
