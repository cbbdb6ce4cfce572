#include <retrace/nn/data/augment.h>

#include <cmath>
#include <limits>
#include <map>

#include "support.h"

using namespace retrace;
using retrace::test::text_of;

namespace {

const test::Bytes kPixels = {1, 2, 3, 4, 5, 6, 7, 8, 9};  // [1, 3, 3]

/// The pixels after a choice, as bytes again.
std::vector<int> moved(const Augmenter::Choice& choice) {
  const Augmenter augmenter({.pad = 2}, {1, 3, 3}, 0);
  std::vector<double> y(9);
  augmenter.apply<double>(kPixels, choice, y);
  std::vector<int> bytes;
  for (const double value : y) bytes.push_back(static_cast<int>(std::lround(value * 255)));
  return bytes;
}

}  // namespace

TEST_CASE("without options a byte becomes a number in [0, 1]", "[augment]") {
  const Augmenter augmenter({}, {1, 1, 3}, 0);
  const test::Bytes pixels = {0, 51, 255};
  std::vector<float> single(3);
  std::vector<double> both(3);
  augmenter.apply<float>(pixels, augmenter.choice(0, 0), single);
  augmenter.apply<double>(pixels, augmenter.choice(0, 0), both);
  CHECK(single == std::vector<float>{0, static_cast<float>(51 / 255.0), 1});
  CHECK(both == std::vector<double>{0, 51 / 255.0, 1});
}

TEST_CASE("normalising takes the mean and divides by the deviation of each channel", "[augment]") {
  const Augmenter augmenter({.normalise = ChannelStatistics{.mean = {0.5, 0.25}, .stddev = {0.5, 0.125}}},
                            {2, 1, 1}, 0);
  std::vector<double> y(2);
  augmenter.apply<double>(test::Bytes{255, 0}, {}, y);
  CHECK(y == std::vector<double>{1, -2});
}

TEST_CASE("an image moves down and right, and black comes in", "[augment]") {
  CHECK(moved({}) == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(moved({.dy = 1, .dx = 0}) == std::vector<int>{0, 0, 0, 1, 2, 3, 4, 5, 6});
  CHECK(moved({.dy = -1, .dx = 0}) == std::vector<int>{4, 5, 6, 7, 8, 9, 0, 0, 0});
  CHECK(moved({.dy = 0, .dx = 2}) == std::vector<int>{0, 0, 1, 0, 0, 4, 0, 0, 7});
  CHECK(moved({.dy = 0, .dx = 0, .flip = true}) == std::vector<int>{3, 2, 1, 6, 5, 4, 9, 8, 7});
  CHECK(moved({.dy = 0, .dx = 1, .flip = true}) == std::vector<int>{0, 3, 2, 0, 6, 5, 0, 9, 8});
}

TEST_CASE("black is the pixel 0 before normalising", "[augment]") {
  const Augmenter augmenter({.pad = 1, .normalise = ChannelStatistics{.mean = {0.5}, .stddev = {0.25}}},
                            {1, 2, 2}, 0);
  std::vector<double> y(4);
  augmenter.apply<double>(test::Bytes{255, 255, 255, 255}, {.dy = 1, .dx = 0}, y);
  CHECK(y == std::vector<double>{-2, -2, 2, 2});
}

TEST_CASE("choices are uniform", "[augment]") {
  const Augmenter augmenter({.pad = 2, .flip = true}, {1, 8, 8}, 3);
  constexpr int kImages = 10000;
  std::map<std::int64_t, int> down;
  std::map<std::int64_t, int> right;
  int flips = 0;
  int both = 0;  // dy = dx = 0: the two are independent
  for (int i = 0; i < kImages; ++i) {
    const Augmenter::Choice choice = augmenter.choice(1, i);
    ++down[choice.dy];
    ++right[choice.dx];
    flips += choice.flip ? 1 : 0;
    both += choice.dy == 0 && choice.dx == 0 ? 1 : 0;
  }
  REQUIRE(down.size() == 5);
  REQUIRE(right.size() == 5);
  CHECK(down.begin()->first == -2);
  CHECK(down.rbegin()->first == 2);
  // five standard deviations
  for (const auto& [offset, count] : down) CHECK(std::abs(count - kImages / 5) < 200);
  for (const auto& [offset, count] : right) CHECK(std::abs(count - kImages / 5) < 200);
  CHECK(std::abs(flips - kImages / 2) < 250);
  CHECK(std::abs(both - kImages / 25) < 98);
}

TEST_CASE("a choice is a function of seed, epoch and index", "[augment]") {
  const Augmentation options = {.pad = 3, .flip = true};
  const auto signature = [&](std::uint64_t seed, std::int64_t epoch, std::int64_t first) {
    const Augmenter augmenter(options, {1, 8, 8}, seed);
    std::vector<std::int64_t> values;
    for (std::int64_t i = first; i < first + 20; ++i) {
      const Augmenter::Choice choice = augmenter.choice(epoch, i);
      values.insert(values.end(), {choice.dy, choice.dx, choice.flip ? 1 : 0});
    }
    return values;
  };
  CHECK(signature(1, 2, 0) == signature(1, 2, 0));
  CHECK(signature(1, 2, 0) != signature(2, 2, 0));
  CHECK(signature(1, 2, 0) != signature(1, 3, 0));
  CHECK(signature(1, 2, 0) != signature(1, 2, 20));
}

TEST_CASE("without pad and flip nothing is random, in evaluation either", "[augment]") {
  const Augmentation training = {
      .pad = 2, .flip = true, .normalise = ChannelStatistics{.mean = {0.5}, .stddev = {0.5}}};
  const Augmentation evaluation = training.for_evaluation();
  REQUIRE(evaluation.normalise);
  CHECK(evaluation.normalise->mean == training.normalise->mean);
  const Augmenter augmenter(evaluation, {1, 8, 8}, 0);
  for (int i = 0; i < 100; ++i) {
    const Augmenter::Choice choice = augmenter.choice(0, i);
    REQUIRE((choice.dy == 0 && choice.dx == 0 && !choice.flip));
  }
}

TEST_CASE("augmentation refuses what does not fit", "[augment]") {
  const auto made = [](const Augmentation& options, const Shape& shape) {
    return [options, shape] { Augmenter(options, shape, 0); };
  };
  const auto normalised = [](std::vector<double> mean, std::vector<double> stddev) {
    return Augmentation{.normalise = ChannelStatistics{.mean = std::move(mean), .stddev = std::move(stddev)}};
  };
  const Shape shape = {2, 4, 3};
  CHECK(text_of<ShapeError>(made({}, {4, 4})) == "[augmentation] images must be [C,H,W], got [4,4]");
  CHECK(text_of<ArgumentError>(made({.pad = 3}, shape)) ==
        "[augmentation] pad must be in [0,3) for images [2,4,3], got 3");
  CHECK(text_of<ArgumentError>(made({.pad = -1}, shape)) ==
        "[augmentation] pad must be in [0,3) for images [2,4,3], got -1");
  CHECK(text_of<ArgumentError>(made(normalised({0}, {1, 1}), shape)) ==
        "[augmentation] normalise must hold 2 means and standard deviations for 2 channels, got 1 and 2");
  CHECK(text_of<ArgumentError>(made(normalised({0, 0}, {1, 0}), shape)) ==
        "[augmentation] the standard deviation of channel 1 must be positive, got 0");
  CHECK(
      text_of<ArgumentError>(made(normalised({std::numeric_limits<double>::infinity(), 0}, {1, 1}), shape)) ==
      "[augmentation] the mean of channel 0 must be finite, got inf");
  std::vector<double> y(24);
  CHECK(text_of<ShapeError>([&] { Augmenter({}, shape, 0).apply<double>(kPixels, {}, y); }) ==
        "[augmentation] an image [2,4,3] has 24 pixels, got 9 to read and 24 to write");
}
