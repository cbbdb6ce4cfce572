#pragma once
#include <retrace/core/shape_rules.h>
#include <retrace/nn/module.h>

namespace retrace {

/// The largest value of each window (see autograd/ops/pool.h).
/// x: [N, C, H, W] -> [N, C, H', W']
class MaxPool2d final : public Module {
 public:
  /// By default, windows of 2 x 2 side by side.
  explicit MaxPool2d(const Pool2dOptions& options = {}) : options_(options) {}
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<MaxPool2d>(*this); }
  Pool2dOptions options_;
};

/// The mean of each window; the padding counts as zeros.
/// x: [N, C, H, W] -> [N, C, H', W']
class AvgPool2d final : public Module {
 public:
  /// By default, windows of 2 x 2 side by side.
  explicit AvgPool2d(const Pool2dOptions& options = {}) : options_(options) {}
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<AvgPool2d>(*this); }
  Pool2dOptions options_;
};

/// The mean of each cell of a grid over the image; `AdaptiveAvgPool2d(1)` is the global mean.
/// x: [N, C, H, W] -> [N, C, grid.h, grid.w]
class AdaptiveAvgPool2d final : public Module {
 public:
  /// grid: its rows and columns.
  explicit AdaptiveAvgPool2d(Size2d grid) : grid_(grid) {}
  Var forward(const Var& x) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<AdaptiveAvgPool2d>(*this); }
  Size2d grid_;
};

}  // namespace retrace
