#include <retrace/core/fail.h>
#include <retrace/core/random.h>
#include <retrace/core/scope.h>
#include <retrace/nn/data/synthetic.h>

#include <array>
#include <cmath>
#include <numbers>

namespace retrace {

namespace {

constexpr std::uint64_t kPatternStream = 0x9A77E2;
constexpr std::uint64_t kImageStream = 0x13A6E5;
constexpr int kFrequencies = 4;  // whole waves across the image: 0 to 3 each way

void check(const SyntheticOptions& options) {
  constexpr std::string_view kOp = "synthetic";
  if (options.images < 1) fail<ArgumentError>(kOp, "images must be at least 1, got {}", options.images);
  if (options.classes < 1) fail<ArgumentError>(kOp, "classes must be at least 1, got {}", options.classes);
  if (!(options.noise >= 0 && std::isfinite(options.noise)))
    fail<ArgumentError>(kOp, "noise must be 0 or more, got {}", options.noise);
  if (options.shape.rank() != 3) fail<ShapeError>(kOp, "shape must be [C,H,W], got {}", options.shape);
}

/// The plane wave of one class in one channel.
struct Wave {
  double across, down, phase;

  double at(double x, double y) const {
    return std::sin(2 * std::numbers::pi * (across * x + down * y) + phase);
  }
};

Wave wave_of(std::uint64_t seed, std::int64_t label, std::int64_t channel) {
  const std::uint64_t key = mix(static_cast<std::uint64_t>(label), static_cast<std::uint64_t>(channel));
  const RandomStream stream = {.seed = seed, .stream = mix(kPatternStream, key)};
  return {.across = std::floor(uniform_at(stream, 0) * kFrequencies),
          .down = std::floor(uniform_at(stream, 1) * kFrequencies),
          .phase = 2 * std::numbers::pi * uniform_at(stream, 2)};
}

/// All patterns, [classes, C, H, W], each value in [-1, 1].
std::vector<double> patterns_of(const SyntheticOptions& options) {
  std::vector<double> patterns;
  const auto height = static_cast<double>(options.shape[1]);
  const auto width = static_cast<double>(options.shape[2]);
  for (std::int64_t label = 0; label < options.classes; ++label) {
    for (std::int64_t c = 0; c < options.shape[0]; ++c) {
      const Wave wave = wave_of(options.seed, label, c);
      for (double y = 0; y < height; ++y)
        for (double x = 0; x < width; ++x) patterns.push_back(wave.at(x / width, y / height));
    }
  }
  return patterns;
}

/// Writes image i. Each block of the generator gives 16 bytes of noise; the first block gives the contrast.
void draw(const SyntheticOptions& options, std::int64_t i, const double* pattern, std::uint8_t* pixels) {
  const std::uint64_t key = mix(static_cast<std::uint64_t>(options.split), static_cast<std::uint64_t>(i));
  const RandomStream stream = {.seed = options.seed, .stream = mix(kImageStream, key)};
  const double contrast = 0.5 + 0.5 * static_cast<double>(uniform_at(stream, 0));
  const std::int64_t count = options.shape.numel();
  std::array<std::uint32_t, 4> words{};
  for (std::int64_t p = 0; p < count; ++p) {
    const auto at = static_cast<std::uint64_t>(p);
    if (at % 16 == 0) words = philox(stream, 1 + at / 16);
    const std::uint32_t byte = words[at / 4 % 4] >> (8 * (at % 4)) & 0xFF;
    const double u = (static_cast<double>(byte) - 128) / 128;
    const double value = (contrast * pattern[p] + options.noise * u) / (1 + options.noise);
    pixels[p] = static_cast<std::uint8_t>(std::lround(127.5 + 127.5 * value));
  }
}

}  // namespace

std::shared_ptr<ImageDataset> synthetic(const SyntheticOptions& options) {
  check(options);
  const OpName op("synthetic");
  const std::int64_t pixels = options.shape.numel();
  const std::vector<double> patterns = patterns_of(options);
  Tensor images({options.images, options.shape[0], options.shape[1], options.shape[2]}, DType::u8, Tag::data);
  Tensor labels({options.images}, DType::i64, Tag::data);
  auto* image_data = images.mutable_data<std::uint8_t>();
  auto* label_data = labels.mutable_data<std::int64_t>();
  for (std::int64_t i = 0; i < options.images; ++i) {
    label_data[i] = i % options.classes;
    draw(options, i, patterns.data() + label_data[i] * pixels, image_data + i * pixels);
  }
  return std::make_shared<ImageDataset>(images, labels, options.classes);
}

}  // namespace retrace
