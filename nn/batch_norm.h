#pragma once
#include <retrace/nn/module.h>

namespace retrace {

/// How a `BatchNorm2d` normalises.
struct BatchNorm2dOptions {
  double eps = 1e-5;      ///< added to the variance
  double momentum = 0.1;  ///< running = (1 - momentum) running + momentum batch
  bool affine = true;     ///< with a weight
  bool bias = true;       ///< and, if so, a bias
};

/// y = weight (x - mean) / sqrt(var + eps) + bias for each channel, with the batch's statistics in training
/// and the running ones in evaluation (see autograd/ops/batch_norm.h). x: [N, C, H, W]; weight, bias,
/// running_mean, running_var: [C]; num_batches_tracked: [] i64.
///
/// Training moves the running statistics and counts the batch, but never in a replay (Recomputing::active()).
class BatchNorm2d final : public Module {
 public:
  /// weight = 1, bias = 0, running_mean = 0, running_var = 1. Throws ArgumentError for options out of range.
  explicit BatchNorm2d(std::int64_t channels, const BatchNorm2dOptions& options = {});

  Var forward(const Var& x) override;
  /// relu((*this)(x)), bit for bit, in one pass (see batch_norm_relu).
  Var then_relu(const Var& x);
  void members(Members& m) override;

  Parameter& weight() { return weight_; }                         ///< gamma, [C]; undefined without one
  Parameter& bias() { return bias_; }                             ///< beta, [C]; undefined without one
  Tensor& running_mean() { return running_mean_; }                ///< of the means, [C]
  Tensor& running_var() { return running_var_; }                  ///< of the unbiased variances, [C]
  Tensor& num_batches_tracked() { return num_batches_tracked_; }  ///< training batches so far, [] i64

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<BatchNorm2d>(*this); }
  Var normalize(const Var& x, bool relu);

  BatchNorm2dOptions options_;
  Parameter weight_;
  Parameter bias_;
  Tensor running_mean_;
  Tensor running_var_;
  Tensor num_batches_tracked_;
};

}  // namespace retrace
