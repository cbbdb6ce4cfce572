// A data set of your own: derive from Dataset, say how an image is made, and let a Loader cut it into
// batches. Here the images are drawn as they are asked for; images that you hold in tensors go into an
// ImageDataset instead.
#include <retrace/core/random.h>
#include <retrace/nn/data/loader.h>

#include <cstdlib>
#include <iostream>

using namespace retrace;

/// Filled squares (class 0) and discs (class 1) of random size and place, 16 x 16 pixels, white on black.
class Shapes final : public Dataset {
 public:
  explicit Shapes(std::int64_t size, std::uint64_t seed) : size_(size), seed_(seed) {}

  std::int64_t size() const override { return size_; }
  Shape image_shape() const override { return {1, kSide, kSide}; }
  std::int64_t classes() const override { return 2; }
  std::vector<std::string> class_names() const override { return {"square", "disc"}; }
  std::int64_t label(std::int64_t i) const override { return i % 2; }

  // The loader calls this on a thread of its own, in any order: image i is a function of the seed and i
  // alone.
  void copy_image(std::int64_t i, std::span<std::uint8_t> pixels) const override {
    const RandomStream random = {.seed = seed_, .stream = static_cast<std::uint64_t>(i)};
    const float radius = 3 + 3 * uniform_at(random, 0);
    const float x0 = 6 + 4 * uniform_at(random, 1);
    const float y0 = 6 + 4 * uniform_at(random, 2);
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        const float dx = std::abs(static_cast<float>(x) - x0);
        const float dy = std::abs(static_cast<float>(y) - y0);
        const bool inside = label(i) == 0 ? dx < radius && dy < radius : dx * dx + dy * dy < radius * radius;
        pixels[static_cast<std::size_t>(y * kSide + x)] = inside ? 255 : 0;
      }
    }
  }

 private:
  static constexpr int kSide = 16;
  std::int64_t size_;
  std::uint64_t seed_;
};

int main() {
  const auto data = std::make_shared<Shapes>(250, /*seed=*/1);
  const ChannelStatistics& statistics = data->statistics();
  std::cout << data->size() << " images " << data->image_shape() << ", mean " << statistics.mean[0]
            << ", stddev " << statistics.stddev[0] << '\n';

  Loader loader(data, {.batch_size = 100, .augmentation = {.pad = 1, .flip = true, .normalise = statistics}});
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    loader.start_epoch(epoch);
    while (const std::optional<Batch> batch = loader.next()) {
      std::vector<int> count(2);
      for (const std::int64_t label : batch->labels.values<std::int64_t>())
        ++count[static_cast<std::size_t>(label)];
      std::cout << "epoch " << epoch << ", batch " << batch->index << ": " << batch->images.shape() << ", "
                << count[0] << " squares, " << count[1] << " discs\n";
    }
  }
}
