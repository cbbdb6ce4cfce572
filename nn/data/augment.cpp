#include <retrace/core/fail.h>
#include <retrace/core/random.h>
#include <retrace/nn/data/augment.h>

#include <algorithm>
#include <cmath>

namespace retrace {

namespace {

constexpr std::string_view kAugmentation = "augmentation";
constexpr std::uint64_t kAugmentStream = 0xA06;
constexpr std::int64_t kBytes = 256;

void check_statistics(const ChannelStatistics& statistics, std::int64_t channels) {
  const auto wanted = static_cast<std::size_t>(channels);
  if (statistics.mean.size() != wanted || statistics.stddev.size() != wanted)
    fail<ArgumentError>(kAugmentation,
                        "normalise must hold {} means and standard deviations for {} channels, got {} and {}",
                        channels, channels, statistics.mean.size(), statistics.stddev.size());
  for (std::size_t c = 0; c < wanted; ++c) {
    if (!std::isfinite(statistics.mean[c]))
      fail<ArgumentError>(kAugmentation, "the mean of channel {} must be finite, got {}", c,
                          statistics.mean[c]);
    if (!(statistics.stddev[c] > 0 && std::isfinite(statistics.stddev[c])))
      fail<ArgumentError>(kAugmentation, "the standard deviation of channel {} must be positive, got {}", c,
                          statistics.stddev[c]);
  }
}

/// An integer in [-pad, pad], each equally likely but for 2^-32.
std::int64_t offset(std::uint32_t bits, std::int64_t pad) {
  return (static_cast<std::int64_t>(bits) * (2 * pad + 1) >> 32) - pad;
}

}  // namespace

Augmenter::Augmenter(const Augmentation& options, const Shape& image_shape, std::uint64_t seed)
    : options_(options), shape_(image_shape), seed_(seed) {
  if (shape_.rank() != 3) fail<ShapeError>(kAugmentation, "images must be [C,H,W], got {}", shape_);
  const std::int64_t smallest = std::min(shape_[1], shape_[2]);
  if (options_.pad < 0 || options_.pad >= smallest)
    fail<ArgumentError>(kAugmentation, "pad must be in [0,{}) for images {}, got {}", smallest, shape_,
                        options_.pad);
  const std::int64_t channels = shape_[0];
  if (options_.normalise) check_statistics(*options_.normalise, channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto channel = static_cast<std::size_t>(c);
    const double mean = options_.normalise ? options_.normalise->mean[channel] : 0;
    const double stddev = options_.normalise ? options_.normalise->stddev[channel] : 1;
    for (int byte = 0; byte < kBytes; ++byte) value_of_.push_back((byte / 255.0 - mean) / stddev);
  }
}

Augmenter::Choice Augmenter::choice(std::int64_t epoch, std::int64_t index) const {
  const std::uint64_t key =
      mix(mix(kAugmentStream, static_cast<std::uint64_t>(epoch)), static_cast<std::uint64_t>(index));
  const std::array<std::uint32_t, 4> bits = philox({.seed = seed_, .stream = key}, 0);
  return {.dy = offset(bits[0], options_.pad),
          .dx = offset(bits[1], options_.pad),
          .flip = options_.flip && bits[2] >> 31 != 0};
}

template <class T>
void Augmenter::apply(std::span<const std::uint8_t> pixels, const Choice& choice, std::span<T> y) const {
  const std::int64_t height = shape_[1];
  const std::int64_t width = shape_[2];
  const std::int64_t numel = shape_.numel();
  if (static_cast<std::int64_t>(pixels.size()) != numel || static_cast<std::int64_t>(y.size()) != numel)
    fail<ShapeError>(kAugmentation, "an image {} has {} pixels, got {} to read and {} to write", shape_,
                     numel, pixels.size(), y.size());
  T* out = y.data();
  for (std::int64_t c = 0; c < shape_[0]; ++c) {
    const double* value_of = value_of_.data() + c * kBytes;
    for (std::int64_t row = 0; row < height; ++row) {
      const std::int64_t from = row - choice.dy;
      const bool inside = from >= 0 && from < height;
      const std::uint8_t* line = pixels.data() + (c * height + (inside ? from : 0)) * width;
      for (std::int64_t column = 0; column < width; ++column) {
        const std::int64_t at = column - choice.dx;
        const bool seen = inside && at >= 0 && at < width;
        *out++ = static_cast<T>(value_of[seen ? line[choice.flip ? width - 1 - at : at] : 0]);
      }
    }
  }
}

template void Augmenter::apply(std::span<const std::uint8_t>, const Choice&, std::span<float>) const;
template void Augmenter::apply(std::span<const std::uint8_t>, const Choice&, std::span<double>) const;

}  // namespace retrace
