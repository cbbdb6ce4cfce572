#include <retrace/nn/data/dataset.h>

#include <cmath>
#include <numeric>

#include "../../support/rounding.h"
#include "support.h"

using namespace retrace;
using retrace::test::text_of;
using test::roundings;

namespace {

/// Four images [2, 1, 2] whose bytes count up from 0.
ImageDataset counting() {
  Tensor images({4, 2, 1, 2}, DType::u8);
  std::iota(images.mutable_values<std::uint8_t>().begin(), images.mutable_values<std::uint8_t>().end(),
            std::uint8_t{0});
  return ImageDataset(images, Tensor::from<std::int32_t>({0, 1, 1, 2}, {4}), {"a", "b", "c"});
}

/// All a user has to write.
class Ramp final : public Dataset {
 public:
  std::int64_t size() const override { return 3; }
  Shape image_shape() const override { return {1, 1, 2}; }
  std::int64_t classes() const override { return 2; }
  std::int64_t label(std::int64_t i) const override { return i % 2; }
  void copy_image(std::int64_t i, std::span<std::uint8_t> pixels) const override {
    ++copies;
    pixels[0] = static_cast<std::uint8_t>(i);
    pixels[1] = static_cast<std::uint8_t>(10 * i);
  }
  mutable int copies = 0;
};

}  // namespace

TEST_CASE("a data set in memory gives its images and labels", "[dataset]") {
  const ImageDataset data = counting();
  CHECK(data.size() == 4);
  CHECK(data.image_shape() == Shape{2, 1, 2});
  CHECK(data.classes() == 3);
  CHECK(data.class_names() == std::vector<std::string>{"a", "b", "c"});
  CHECK(data.label(3) == 2);
  test::Bytes pixels(4);
  data.copy_image(2, pixels);
  CHECK(pixels == test::Bytes{8, 9, 10, 11});
  CHECK(data.labels().to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 1, 1, 2});
}

TEST_CASE("classes without names are numbered", "[dataset]") {
  const ImageDataset data(Tensor::zeros({1, 1, 1, 1}, DType::u8), Tensor::from<std::int64_t>({2}, {1}), 3);
  CHECK(data.class_names() == std::vector<std::string>{"0", "1", "2"});
  CHECK(Ramp().class_names() == std::vector<std::string>{"0", "1"});
}

TEST_CASE("a data set in memory refuses what does not fit", "[dataset]") {
  const Tensor images = Tensor::zeros({2, 1, 3, 3}, DType::u8);
  const Tensor labels = Tensor::from<std::int64_t>({0, 1}, {2});
  const auto made = [](const Tensor& x, const Tensor& y) { return [x, y] { ImageDataset(x, y, 2); }; };

  CHECK(text_of<DTypeError>(made(Tensor::zeros({2, 1, 3, 3}, DType::f32), labels)) ==
        "[image_dataset] images must be u8, got f32");
  CHECK(text_of<ShapeError>(made(images.reshape({2, 3, 3}), labels)) ==
        "[image_dataset] images must be [N,C,H,W], got [2,3,3]");
  CHECK(text_of<DTypeError>(made(images, Tensor::zeros({2}, DType::f64))) ==
        "[image_dataset] labels must be integers, got f64");
  CHECK(text_of<ShapeError>(made(images, Tensor::from<std::int64_t>({0, 1, 0}, {3}))) ==
        "[image_dataset] labels must be [2] for images [2,1,3,3], got [3]");
  CHECK(text_of<ShapeError>(made(images, labels.reshape({2, 1}))) ==
        "[image_dataset] labels must be [2] for images [2,1,3,3], got [2,1]");
  CHECK(text_of<ArgumentError>(made(images, Tensor::from<std::int64_t>({1, 2}, {2}))) ==
        "[image_dataset] the label of image 1 must be in [0,2), got 2");
  CHECK(text_of<ArgumentError>(made(images, Tensor::from<std::int32_t>({-1, 0}, {2}))) ==
        "[image_dataset] the label of image 0 must be in [0,2), got -1");
}

TEST_CASE("a data set in memory refuses an index out of range and the wrong room", "[dataset]") {
  const ImageDataset data = counting();
  test::Bytes pixels(4);
  CHECK(text_of<ArgumentError>([&] { data.label(4); }) ==
        "[image_dataset] the image's index must be in [0,4), got 4");
  CHECK(text_of<ArgumentError>([&] { data.copy_image(-1, pixels); }) ==
        "[image_dataset] the image's index must be in [0,4), got -1");
  CHECK(text_of<ShapeError>([&] { data.copy_image(0, std::span(pixels).first(3)); }) ==
        "[image_dataset] an image [2,1,2] needs room for 4 bytes, got 3");
}

TEST_CASE("statistics are the mean and deviation of each channel, read once", "[dataset]") {
  const ImageDataset data = counting();
  // channel 0 holds 0 1 4 5 8 9 12 13, channel 1 two more each
  const ChannelStatistics& statistics = data.statistics();
  REQUIRE(statistics.mean.size() == 2);
  // The sums of bytes are exact; the difference of two of them is a variance.
  CHECK(roundings(statistics.mean[0], 6.5 / 255, DType::f64) <= 4);
  CHECK(roundings(statistics.mean[1], 8.5 / 255, DType::f64) <= 4);
  CHECK(roundings(statistics.stddev[0], std::sqrt(20.25) / 255, DType::f64) <= 16);
  CHECK(statistics.stddev[1] == statistics.stddev[0]);

  const Ramp ramp;
  CHECK(roundings(ramp.statistics().mean[0], 33.0 / 6 / 255, DType::f64) <= 4);
  CHECK(&ramp.statistics() == &ramp.statistics());
  CHECK(ramp.copies == 3);
}

TEST_CASE("a constant channel has the deviation 0 exactly", "[dataset]") {
  const ImageDataset data(Tensor::full({7, 1, 3, 3}, 77, DType::u8), Tensor::zeros({7}, DType::i64), 1);
  CHECK(data.statistics().stddev[0] == 0);
}

TEST_CASE("a subset is the first images", "[dataset]") {
  const auto ramp = std::make_shared<Ramp>();
  const auto two = subset(ramp, 2);
  CHECK(two->size() == 2);
  CHECK(two->image_shape() == Shape{1, 1, 2});
  CHECK(two->classes() == 2);
  CHECK(two->class_names() == ramp->class_names());
  CHECK(two->label(1) == 1);
  CHECK(roundings(two->statistics().mean[0], 11.0 / 4 / 255, DType::f64) <= 4);
  test::Bytes pixels(2);
  two->copy_image(1, pixels);
  CHECK(pixels == test::Bytes{1, 10});
  CHECK(text_of<ArgumentError>([&] { two->label(2); }) ==
        "[subset] the image's index must be in [0,2), got 2");
  CHECK(text_of<ArgumentError>([&] { two->copy_image(2, pixels); }) ==
        "[subset] the image's index must be in [0,2), got 2");
  CHECK(text_of<ArgumentError>([&] { subset(ramp, 4); }) ==
        "[subset] n must be in [1,3], the images of the data set, got 4");
  CHECK(text_of<ArgumentError>([&] { subset(ramp, 0); }) ==
        "[subset] n must be in [1,3], the images of the data set, got 0");
  CHECK(text_of<ArgumentError>([] { subset(nullptr, 1); }) == "[subset] the data set must not be null");
}

TEST_CASE("statistics need images with three dimensions", "[dataset]") {
  class Flat final : public Dataset {
    std::int64_t size() const override { return 1; }
    Shape image_shape() const override { return {4}; }
    std::int64_t classes() const override { return 1; }
    std::int64_t label(std::int64_t) const override { return 0; }
    void copy_image(std::int64_t, std::span<std::uint8_t>) const override {}
  };
  CHECK(text_of<ShapeError>([] { Flat().statistics(); }) == "[dataset] images must be [C,H,W], got [4]");
}
