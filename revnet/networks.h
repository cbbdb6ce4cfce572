#pragma once
#include <retrace/nn/batch_norm.h>
#include <retrace/nn/conv2d.h>
#include <retrace/nn/linear.h>
#include <retrace/revnet/policy.h>
#include <retrace/revnet/stage.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace retrace {

/// What a network begins with: a convolution, batch norm, ReLU, and perhaps a pool.
struct StemOptions {
  std::int64_t kernel = 3;  ///< of the convolution, padded with (kernel - 1) / 2
  bool max_pool = false;    ///< 3x3 with stride 2 and padding 1
};

/// A residual network: a stem, stages of blocks, a final batch norm + ReLU + average pool + linear layer. As
/// it is, of the CIFAR kind; for images as large as ImageNet's, with four stages, a 7x7 stem and a pool:
/// ```cpp
/// NetworkOptions{.channels = {64, 64, 128, 256, 512}, .blocks = {2, 2, 2, 2}, .strides = {2, 1, 2, 2, 2},
///                .stem = {.kernel = 7, .max_pool = true}, .classes = 1000}
/// ```
struct NetworkOptions {
  std::vector<std::int64_t> channels = {32, 32, 64,
                                        112};    ///< of the stem and of each stage, before expansion
  std::vector<std::int64_t> blocks = {3, 3, 3};  ///< of each stage
  std::vector<std::int64_t> strides{};           ///< of the stem and of each stage; empty: 1, 1, 2, 2, ...
  StemOptions stem{};                            ///< what it begins with
  BatchNorm2dOptions norm{};                     ///< of every batch norm
  bool bottleneck = false;                       ///< 1x1, 3x3, 1x1 with expansion 4 instead of two 3x3
  bool reversible = true;                        ///< blocks that keep width and size are additive couplings
  std::int64_t in_channels = 3;                  ///< of the images
  std::int64_t classes = 10;                     ///< how many logits come out
  double dropout = 0;  ///< probability in front of the last convolution of each branch
};

/// The first layers of a network: convolution, batch norm, ReLU, and the pool if there is one.
class Stem final : public Module {
 public:
  /// x: [N, in_channels, H, W] -> [N, channels[0], H / strides[0], W / strides[0]], half of that with a pool.
  explicit Stem(const NetworkOptions& options);

  Var forward(const Var& x) override;
  void members(Members& m) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Stem>(*this); }

  Conv2d conv_;
  BatchNorm2d norm_;
  bool max_pool_;
};

/// ResNet (He, Zhang, Ren, Sun: "Identity mappings in deep residual networks", ECCV 2016) and RevNet (Gomez,
/// Ren, Urtasun, Grosse: "The reversible residual network", NIPS 2017), with pre-activation everywhere but in
/// the first block.
class ResidualNetwork final : public Module {
 public:
  /// He-normal weights (fan-out) from the current random stream. Throws ArgumentError for options that make
  /// no network.
  explicit ResidualNetwork(const NetworkOptions& options);

  /// x: [N, in_channels, H, W] -> logits [N, classes].
  Var forward(const Var& x) override;
  void members(Members& m) override;

  const NetworkOptions& options() const { return options_; }  ///< those it was made with
  Policy policy() const { return policy_; }  ///< how all of its stages get their activations back
  /// Throws ArgumentError if the policy is a reversible one and no block is reversible.
  void set_policy(Policy policy);

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<ResidualNetwork>(*this); }

  NetworkOptions options_;
  Policy policy_ = Policy::stored;
  std::shared_ptr<Stem> stem_;
  std::vector<std::shared_ptr<Stage>> stages_;
  BatchNorm2d final_norm_;
  Linear classifier_;
};

/// The number of trainable parameters of the network with these options; the network is not built. Throws
/// ArgumentError for options that make no network.
std::int64_t parameter_count(const NetworkOptions& options);

/// Whether policy `reversible` has anything to work with. Throws ArgumentError for options that make no
/// network.
bool has_reversible_blocks(const NetworkOptions& options);

/// resnet32, resnet110, resnet164, revnet38, revnet110, revnet164, and `tiny` for demonstrations.
std::vector<std::string> network_names();
/// Throws ArgumentError with the list of known names.
NetworkOptions network_options(std::string_view name);

}  // namespace retrace
