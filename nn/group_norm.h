#pragma once
#include <retrace/nn/module.h>

namespace retrace {

/// How a `LayerNorm` normalises, and what it owns.
struct LayerNormOptions {
  double eps = 1e-5;               ///< added to the variance
  bool elementwise_affine = true;  ///< with a weight
  bool bias = true;                ///< and, if so, a bias
};

/// y = weight (x - mean) / sqrt(var + eps) + bias, with a mean and a variance over the last dimensions of
/// each sample (see autograd/ops/group_norm.h). x: [..., normalized_shape]; weight, bias: normalized_shape.
class LayerNorm final : public Module {
 public:
  /// weight = 1, bias = 0. Throws ShapeError for a normalized_shape without dimensions, ArgumentError unless
  /// eps is above 0.
  explicit LayerNorm(const Shape& normalized_shape, const LayerNormOptions& options = {});

  Var forward(const Var& x) override;
  void members(Members& m) override;

  /// Undefined without one.
  Parameter& weight() { return weight_; }
  /// Undefined without one.
  Parameter& bias() { return bias_; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<LayerNorm>(*this); }

  Shape normalized_shape_;
  double eps_;
  Parameter weight_;
  Parameter bias_;
};

/// How a `GroupNorm` normalises, and what it owns.
struct GroupNormOptions {
  double eps = 1e-5;   ///< added to the variance
  bool affine = true;  ///< with a weight
  bool bias = true;    ///< and, if so, a bias
};

/// y = weight (x - mean) / sqrt(var + eps) + bias, with a mean and a variance for each group of channels of
/// each sample (see autograd/ops/group_norm.h). x: [N, channels, ...]; weight, bias: [channels].
class GroupNorm final : public Module {
 public:
  /// weight = 1, bias = 0. Throws ArgumentError unless the groups divide the channels and eps is above 0.
  GroupNorm(std::int64_t num_groups, std::int64_t channels, const GroupNormOptions& options = {});

  Var forward(const Var& x) override;
  void members(Members& m) override;

  /// Undefined without one.
  Parameter& weight() { return weight_; }
  /// Undefined without one.
  Parameter& bias() { return bias_; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<GroupNorm>(*this); }

  std::int64_t num_groups_;
  std::int64_t channels_;
  double eps_;
  Parameter weight_;
  Parameter bias_;
};

}  // namespace retrace
