#include <retrace/nn/data/synthetic.h>

#include <limits>
#include <set>

#include "support.h"

using namespace retrace;
using retrace::test::text_of;

namespace {

using Image = std::vector<double>;

/// The class whose mean image is nearest to image i.
std::int64_t nearest(const std::vector<Image>& means, const ImageDataset& data, std::int64_t i) {
  test::Bytes pixels(static_cast<std::size_t>(data.image_shape().numel()));
  data.copy_image(i, pixels);
  std::int64_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t c = 0; c < means.size(); ++c) {
    double distance = 0;
    for (std::size_t p = 0; p < pixels.size(); ++p)
      distance += (pixels[p] - means[c][p]) * (pixels[p] - means[c][p]);
    if (distance < least) {
      least = distance;
      best = static_cast<std::int64_t>(c);
    }
  }
  return best;
}

std::vector<Image> class_means(const ImageDataset& data) {
  const auto numel = static_cast<std::size_t>(data.image_shape().numel());
  std::vector<Image> means(static_cast<std::size_t>(data.classes()), Image(numel));
  test::Bytes pixels(numel);
  const double share = static_cast<double>(data.classes()) / static_cast<double>(data.size());
  for (std::int64_t i = 0; i < data.size(); ++i) {
    data.copy_image(i, pixels);
    Image& mean = means[static_cast<std::size_t>(data.label(i))];
    for (std::size_t p = 0; p < numel; ++p) mean[p] += pixels[p] * share;
  }
  return means;
}

}  // namespace

TEST_CASE("synthetic images have the shape and the classes asked for", "[data][synthetic]") {
  const auto data = synthetic({.images = 12, .shape = {2, 5, 7}, .classes = 4});
  CHECK(data->images().shape() == Shape{12, 2, 5, 7});
  CHECK(data->labels().to_vector<int>() == std::vector<int>{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3});
  CHECK(data->class_names() == std::vector<std::string>{"0", "1", "2", "3"});
}

TEST_CASE("synthetic images are a function of the options", "[data][synthetic]") {
  const SyntheticOptions options = {.images = 20, .shape = {1, 8, 8}, .classes = 3, .seed = 5};
  const auto bytes = [](const SyntheticOptions& o) {
    return synthetic(o)->images().to_vector<std::uint8_t>();
  };
  SyntheticOptions other = options;
  CHECK(bytes(other) == bytes(options));
  other.seed = 6;
  CHECK(bytes(other) != bytes(options));
  other = options;
  other.split = Split::test;
  CHECK(bytes(other) != bytes(options));
  other = options;
  other.images = 10;  // the first images of more are the same
  const auto fewer = bytes(other);
  CHECK(std::equal(fewer.begin(), fewer.end(), bytes(options).begin()));
}

TEST_CASE("no two synthetic images are equal, and all bytes are used", "[data][synthetic]") {
  const auto data = synthetic({.images = 200, .shape = {1, 16, 16}, .classes = 2});
  std::set<test::Bytes> seen;
  test::Bytes pixels(256);
  for (std::int64_t i = 0; i < data->size(); ++i) {
    data->copy_image(i, pixels);
    seen.insert(pixels);
  }
  CHECK(seen.size() == 200);
  CHECK(data->statistics().mean[0] == Approx(0.5).margin(0.1));
  CHECK(data->statistics().stddev[0] > 0.15);
}

TEST_CASE("what is learned from synthetic training images holds for the test images", "[data][synthetic]") {
  SyntheticOptions options = {.images = 300};
  const std::vector<Image> means = class_means(*synthetic(options));
  options.split = Split::test;
  options.images = 100;
  const auto test = synthetic(options);
  int right = 0;
  for (std::int64_t i = 0; i < test->size(); ++i) right += nearest(means, *test, i) == test->label(i) ? 1 : 0;
  CHECK(right >= 95);
}

TEST_CASE("synthetic refuses options out of range", "[data][synthetic]") {
  const auto made = [](const SyntheticOptions& options) { return [options] { synthetic(options); }; };
  CHECK(text_of<ArgumentError>(made({.images = 0})) == "[synthetic] images must be at least 1, got 0");
  CHECK(text_of<ArgumentError>(made({.classes = 0})) == "[synthetic] classes must be at least 1, got 0");
  CHECK(text_of<ArgumentError>(made({.noise = -1})) == "[synthetic] noise must be 0 or more, got -1");
  CHECK(text_of<ArgumentError>(made({.noise = std::numeric_limits<double>::quiet_NaN()})) ==
        "[synthetic] noise must be 0 or more, got nan");
  CHECK(text_of<ShapeError>(made({.shape = {32, 32}})) == "[synthetic] shape must be [C,H,W], got [32,32]");
}
