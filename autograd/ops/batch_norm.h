#pragma once
#include <retrace/autograd/var.h>

namespace retrace {

/// How `batch_norm` gets its statistics.
struct BatchNormOptions {
  bool training = true;   ///< statistics of the batch; else the running ones
  double momentum = 0.1;  ///< running = (1 - momentum) running + momentum batch
  double eps = 1e-5;      ///< added to the variance
};

/// y = gamma (x - mean) / sqrt(var + eps) + beta, with a mean and a variance for each channel.
/// x: [N, C, H, W] or [N, C]; gamma, beta, running_mean, running_var: [C]; gamma and beta may be undefined: 1
/// and 0.
///
/// Training takes the batch's statistics and moves the running ones towards them (with the unbiased
/// variance), but not while Recomputing::active(). Throws ShapeError, also for a training batch with one
/// value per channel, and DTypeError. Ioffe, Szegedy: "Batch normalization", ICML 2015.
Var batch_norm(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean, Tensor& running_var,
               const BatchNormOptions& options = {});
/// relu(batch_norm(x, ...)), bit for bit, in one pass forward and one backward. The result of the batch norm
/// is never stored: x and one bit an element are kept.
Var batch_norm_relu(const Var& x, const Var& gamma, const Var& beta, Tensor& running_mean,
                    Tensor& running_var, const BatchNormOptions& options = {});

}  // namespace retrace
