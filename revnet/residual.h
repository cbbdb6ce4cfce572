#pragma once
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace retrace {

/// What a residual branch consists of.
struct BranchOptions {
  std::int64_t stride = 1;    ///< of its first 3x3 convolution
  bool bottleneck = false;    ///< 1x1, 3x3, 1x1 (4 times as many channels) instead of two 3x3
  bool preactivation = true;  ///< begin with batch norm + ReLU
  double dropout = 0;         ///< probability in front of the last convolution
  BatchNorm2dOptions norm{};  ///< of every batch norm
};

/// How many times `width` channels come out of a branch.
constexpr std::int64_t expansion(bool bottleneck) { return bottleneck ? 4 : 1; }

/// The F of y = x + F(x): units of batch norm, ReLU and convolution (without bias).
class ResidualBranch final : public Module {
 public:
  /// x: [N, in, H, W] -> [N, width * expansion, H / stride, W / stride].
  ResidualBranch(std::int64_t in, std::int64_t width, const BranchOptions& options);

  Var forward(const Var& x) override;
  Var forward_onto(Var& residual, Sign sign, const Var& x) override;
  void members(Members& m) override;

 private:
  struct Unit {
    std::optional<BatchNorm2d> norm;
    Conv2d conv;
  };
  std::shared_ptr<Module> copy() const override { return std::make_shared<ResidualBranch>(*this); }

  std::vector<Unit> units_;
  double dropout_;
};

/// y = shortcut(x) + F(x); the shortcut is a 1x1 convolution + batch norm where width or size change, else x
/// itself.
class ResidualBlock final : public Module {
 public:
  /// x: [N, in, H, W] -> [N, width * expansion, H / stride, W / stride].
  ResidualBlock(std::int64_t in, std::int64_t width, const BranchOptions& options);

  Var forward(const Var& x) override;
  void members(Members& m) override;

 private:
  struct Shortcut {
    Conv2d conv;
    BatchNorm2d norm;
  };
  std::shared_ptr<Module> copy() const override { return std::make_shared<ResidualBlock>(*this); }

  ResidualBranch F_;
  std::optional<Shortcut> shortcut_;
};

}  // namespace retrace
