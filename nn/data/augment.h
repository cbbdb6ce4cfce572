#pragma once
#include <retrace/nn/data/dataset.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace retrace {

/// What happens to an image on its way into a batch. By default: bytes become numbers in [0, 1], no more.
struct Augmentation {
  std::int64_t pad = 0;  ///< black pixels put around the image, from which a random H x W piece is cut back
  bool flip = false;     ///< left and right are exchanged for every second image, at random
  /// (x - mean) / stddev in each channel. These are the statistics of the training set, for test images too.
  std::optional<ChannelStatistics> normalise{};

  /// The same without the random parts: for test images.
  Augmentation for_evaluation() const { return {.pad = 0, .flip = false, .normalise = normalise}; }
};

/// Turns an image's bytes into the floating-point numbers that a network sees.
class Augmenter {
 public:
  /// What happens to one image in one epoch: it moves down by dy and right by dx pixels, after it was
  /// flipped.
  struct Choice {
    std::int64_t dy = 0;  ///< pixels down
    std::int64_t dx = 0;  ///< pixels to the right
    bool flip = false;    ///< left and right are exchanged, before it moves
  };

  /// image_shape: [C, H, W]. Throws ShapeError for another rank, and ArgumentError unless 0 <= pad < min(H,
  /// W) and `normalise` holds one mean and one positive stddev for each channel.
  Augmenter(const Augmentation& options, const Shape& image_shape, std::uint64_t seed);

  /// dy and dx uniform in [-pad, pad]; a function of (seed, epoch, index in the data set) alone.
  Choice choice(std::int64_t epoch, std::int64_t index) const;

  /// Writes the image, C*H*W numbers; T is float or double. The pixel 0 comes in where the image moved away.
  ///
  ///     y = (pixel / 255 - mean[c]) / stddev[c]
  template <class T>
  void apply(std::span<const std::uint8_t> pixels, const Choice& choice, std::span<T> y) const;

 private:
  Augmentation options_;
  Shape shape_;
  std::uint64_t seed_;
  std::vector<double> value_of_;  // [C, 256]: what a byte becomes
};

}  // namespace retrace
