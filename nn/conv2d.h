#pragma once
#include <retrace/core/shape_rules.h>
#include <retrace/nn/module.h>

namespace retrace {

/// How a `Conv2d` moves over an image, and what it owns.
struct Conv2dLayerOptions {
  Size2d kernel = 3;        ///< the filter's extent, h and w
  Size2d stride = 1;        ///< pixels from one output to the next
  Size2d padding = 0;       ///< zeros on each side
  Size2d dilation = 1;      ///< pixels from one element of the filter to the next
  std::int64_t groups = 1;  ///< parts of the channels, each of which sees itself alone
  bool bias = true;         ///< whether there is one
  Conv2dAlgorithm algorithm = Conv2dAlgorithm::automatic;  ///< how it is computed
};

/// y = x * weight + bias, a cross-correlation (see autograd/ops/conv2d.h).
/// x: [N, in, H, W], weight: [out, in / groups, h, w], bias: [out] -> [N, out, H', W']
class Conv2d final : public Module {
 public:
  /// Begins with init::layer_default. Throws ArgumentError for channels or options out of range, and when
  /// groups do not divide the channels.
  Conv2d(std::int64_t in_channels, std::int64_t out_channels, const Conv2dLayerOptions& options = {});

  Var forward(const Var& x) override;
  Var forward_onto(Var& residual, Sign sign, const Var& x) override;
  void members(Members& m) override;

  const Conv2dOptions& options() const { return options_; }  ///< those that the operation conv2d gets
  /// Changes how it is computed from now on.
  void set_algorithm(Conv2dAlgorithm algorithm) { options_.algorithm = algorithm; }
  Parameter& weight() { return weight_; }  ///< w, [out, in / groups, h, w]
  /// Undefined without one.
  Parameter& bias() { return bias_; }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Conv2d>(*this); }

  Conv2dOptions options_;
  Parameter weight_;
  Parameter bias_;
};

}  // namespace retrace
