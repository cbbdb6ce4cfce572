#include <retrace/nn/data/cifar.h>
#include <retrace/nn/data/load.h>
#include <retrace/nn/data/loader.h>

#include <cmath>
#include <fstream>

#include "../support/catch.h"
#include "../support/rounding.h"
#include "../support/temporary_folder.h"

using namespace retrace;
using namespace retrace::test;

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

constexpr std::int64_t kPixels = 32 * 32;
constexpr std::size_t kTestImages = 7;

/// A file of `size` bytes, zeros (a hole) that end in the bytes given.
void write_file(const fs::path& path, std::size_t size, const Bytes& end) {
  std::ofstream(path).close();
  fs::resize_file(path, size - end.size());
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file.write(reinterpret_cast<const char*>(end.data()), static_cast<std::streamsize>(end.size()));
}

/// A record: labels, then a plane of each colour.
Bytes record(const Bytes& labels, std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  Bytes bytes = labels;
  for (const std::uint8_t value : {red, green, blue}) bytes.insert(bytes.end(), kPixels, value);
  return bytes;
}

/// Training images that are black but for one in 50,000, and bright test images: no two rows alike.
Bytes test_records(std::size_t label_bytes) {
  Bytes bytes;
  for (std::size_t i = 0; i < kTestImages; ++i) {
    Bytes labels(label_bytes, 0);
    labels.back() = static_cast<std::uint8_t>(i);
    bytes.insert(bytes.end(), labels.begin(), labels.end());
    for (std::int64_t p = 0; p < 3 * kPixels; ++p)
      bytes.push_back(
          static_cast<std::uint8_t>(128 + (p * (static_cast<std::int64_t>(i) + 3) + p / 32) % 127));
  }
  return bytes;
}

void write_cifar10(const TemporaryFolder& folder) {
  constexpr std::size_t kRecord = 1 + 3 * kPixels;
  for (int part = 1; part <= 5; ++part)
    write_file(folder / ("data_batch_" + std::to_string(part) + ".bin"), 10000 * kRecord,
               part == 5 ? record({3}, 250, 200, 100) : Bytes());
  const Bytes test = test_records(1);
  write_file(folder / "test_batch.bin", test.size(), test);
}

void write_cifar100(const TemporaryFolder& folder) {
  constexpr std::size_t kRecord = 2 + 3 * kPixels;
  write_file(folder / "train.bin", 50000 * kRecord, record({19, 98}, 250, 200, 100));
  const Bytes test = test_records(2);
  write_file(folder / "test.bin", test.size(), test);
}

/// A channel in which one image of 50,000 has this value, and all others are 0.
void check_statistics(const ChannelStatistics& statistics) {
  const std::vector<double> values = {250 / 255.0, 200 / 255.0, 100 / 255.0};
  for (std::size_t c = 0; c < 3; ++c) {
    const double mean = values[c] / 50000;
    CHECK(roundings(statistics.mean[c], mean, DType::f64) <= 8);  // sums of bytes are exact
    CHECK(roundings(statistics.stddev[c], std::sqrt(mean * values[c] - mean * mean), DType::f64) <= 8);
  }
}

/// Images of an epoch, as the network meets them.
std::vector<double> epoch(Loader& loader, std::int64_t number) {
  std::vector<double> pixels;
  loader.start_epoch(number);
  while (const std::optional<Batch> batch = loader.next())
    for (const double v : batch->images.to_vector<double>()) pixels.push_back(v);
  return pixels;
}

/// In the files' order and without padding, cutting or flipping.
void check_test_images(const std::shared_ptr<Dataset>& test, const Augmentation& usual,
                       std::size_t label_bytes) {
  const LoaderOptions training{.batch_size = 4, .augmentation = usual, .dtype = DType::f64};
  Loader loader(test, training.for_evaluation());
  const std::vector<double> got = epoch(loader, 0);
  CHECK((epoch(loader, 1) == got));
  const Bytes file = test_records(label_bytes);
  const std::size_t image = 3 * kPixels;
  REQUIRE(got.size() == kTestImages * image);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::size_t channel = i % image / kPixels;
    const std::uint8_t pixel = file[i / image * (label_bytes + image) + label_bytes + i % image];
    const double expected =
        (pixel / 255.0 - usual.normalise->mean[channel]) / usual.normalise->stddev[channel];
    worst = std::max(worst, std::abs(got[i] - expected) * usual.normalise->stddev[channel]);
  }
  CHECK(worst <= 8 * unit_roundoff(DType::f64));  // of a difference of two numbers up to 1
  Loader augmented(test, training);
  CHECK((epoch(augmented, 0) != epoch(augmented, 1)));
}

}  // namespace

// MemCNN subtracts a mean over training and test images, and pads, cuts and flips test images, too.
TEST_CASE("[P57] CIFAR-10: statistics of the training images alone, test images as they are", "[P57]") {
  const TemporaryFolder folder;
  write_cifar10(folder);
  const auto train = load_dataset("cifar10", folder.path(), Split::train);
  const auto test = load_dataset("cifar10", folder.path(), Split::test);
  CHECK(train->size() == 50000);
  CHECK(train->classes() == 10);
  CHECK(train->label(49999) == 3);
  CHECK(test->label(5) == 5);
  const Augmentation usual = usual_augmentation("cifar10", *train);
  CHECK(usual.pad > 0);
  CHECK(usual.flip);
  check_statistics(usual.normalise.value());
  check_test_images(test, usual, 1);
}

TEST_CASE("[P57] CIFAR-100: statistics of the training images alone, test images as they are", "[P57]") {
  const TemporaryFolder folder;
  write_cifar100(folder);
  const auto train = load_dataset("cifar100", folder.path(), Split::train);
  const auto test = load_dataset("cifar100", folder.path(), Split::test);
  CHECK(train->size() == 50000);
  CHECK(train->classes() == 100);
  CHECK(train->label(49999) == 98);
  CHECK(test->label(5) == 5);
  const Augmentation usual = usual_augmentation("cifar100", *train);
  check_statistics(usual.normalise.value());
  check_test_images(test, usual, 2);
}
