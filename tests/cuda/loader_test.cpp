// Batches that are copied to a GPU while it works on others.
#include "../support/catch.h"
#include "gpu.h"

#include <retrace/core/memory.h>
#include <retrace/nn/data/loader.h>
#include <retrace/nn/data/synthetic.h>

#include <optional>
#include <vector>

using namespace retrace;
using namespace retrace::test;

namespace {

struct Copy {
  std::vector<double> images;
  std::vector<std::int64_t> labels;
  bool operator==(const Copy&) const = default;
};

std::vector<Copy> epoch(const LoaderOptions& options) {
  Loader loader(synthetic({.images = 23, .shape = {2, 4, 4}, .classes = 5}), options);
  std::vector<Copy> batches;
  for (std::int64_t number = 0; number < 2; ++number) {
    loader.start_epoch(number);
    while (const std::optional<Batch> batch = loader.next()) {
      CHECK(batch->images.device() == options.device);
      CHECK(batch->labels.device() == options.device);
      batches.push_back({batch->images.to_vector<double>(), batch->labels.to_vector<std::int64_t>()});
    }
  }
  return batches;
}

}  // namespace

TEST_CASE("a loader's batches on a GPU are those on the CPU", "[cuda][loader]") {
  const std::optional<Device> gpu = gpu_or_skip();
  if (!gpu) return;
  LoaderOptions options{.batch_size = 5, .seed = 9, .augmentation = {.pad = 1, .flip = true}};
  options.prefetch = GENERATE(0, 1, 3);
  const std::vector<Copy> expected = epoch(options);
  CHECK(expected.size() == 10);
  options.device = *gpu;
  const Counter counter(Tag::data, /*remember=*/false, options.device);
  const std::int64_t before = counter.live();
  CHECK(epoch(options) == expected);
  CHECK(counter.live() == before);
}

TEST_CASE("a batch on a GPU that is kept keeps its numbers", "[cuda][loader]") {
  const std::optional<Device> gpu = gpu_or_skip();
  if (!gpu) return;
  LoaderOptions options{.batch_size = 4, .shuffle = false, .prefetch = 2, .device = *gpu};
  Loader loader(synthetic({.images = 24, .shape = {1, 2, 2}, .classes = 3}), options);
  loader.start_epoch(0);
  std::vector<Tensor> kept;
  std::vector<std::vector<float>> numbers;
  while (const std::optional<Batch> batch = loader.next()) {
    kept.push_back(batch->images);
    numbers.push_back(batch->images.to_vector<float>());
  }
  REQUIRE(kept.size() == 6);
  for (std::size_t i = 0; i < kept.size(); ++i) CHECK(kept[i].to_vector<float>() == numbers[i]);
}
