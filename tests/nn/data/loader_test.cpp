#include <retrace/nn/data/loader.h>
#include <retrace/nn/data/sampler.h>
#include <retrace/nn/data/synthetic.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "../../support/rounding.h"
#include "support.h"

using namespace retrace;
using retrace::test::text_of;
using test::roundings;

namespace {

std::shared_ptr<Dataset> small_data(std::int64_t images = 23) {
  return synthetic({.images = images, .shape = {2, 4, 4}, .classes = 5});
}

/// A batch as numbers that no ring can overwrite.
struct Copy {
  std::vector<double> images;
  std::vector<std::int64_t> labels;
  std::vector<std::int64_t> place;
  bool operator==(const Copy&) const = default;
};

Copy copy_of(const Batch& batch) {
  return {batch.images.to_vector<double>(),
          batch.labels.to_vector<std::int64_t>(),
          {batch.epoch, batch.index, batch.first, batch.images.shape()[0]}};
}

std::vector<Copy> rest_of_epoch(Loader& loader) {
  std::vector<Copy> batches;
  while (const std::optional<Batch> batch = loader.next()) batches.push_back(copy_of(*batch));
  return batches;
}

LoaderOptions lively(int prefetch) {
  return {.batch_size = 5, .seed = 9, .augmentation = {.pad = 1, .flip = true}, .prefetch = prefetch};
}

/// One pixel an image, its own index; fails when asked to.
class Indexed final : public Dataset {
 public:
  explicit Indexed(std::int64_t size) : size_(size) {}
  std::int64_t size() const override { return size_; }
  Shape image_shape() const override { return {1, 1, 1}; }
  std::int64_t classes() const override { return 4; }
  std::int64_t label(std::int64_t i) const override { return i == wrong_label ? 7 : i % 4; }
  void copy_image(std::int64_t i, std::span<std::uint8_t> pixels) const override {
    if (i == broken) throw FormatError("[indexed] image must be whole");
    if (delay.count() > 0) std::this_thread::sleep_for(delay);
    copies.fetch_add(1);
    pixels[0] = static_cast<std::uint8_t>(i);
  }

  std::int64_t wrong_label = -1;
  std::atomic<std::int64_t> broken = -1;
  std::chrono::microseconds delay{0};
  mutable std::atomic<int> copies = 0;

 private:
  std::int64_t size_;
};

}  // namespace

TEST_CASE("batches hold the images of the epoch's order", "[loader][tsan]") {
  const auto data = std::make_shared<Indexed>(10);
  Loader loader(data, {.batch_size = 4, .seed = 2, .dtype = DType::f64});
  CHECK(loader.batches() == 3);
  CHECK(&loader.dataset() == data.get());
  CHECK(loader.options().batch_size == 4);
  const std::vector<std::int64_t> order = epoch_order(10, 2, 6);
  loader.start_epoch(6);
  std::int64_t seen = 0;
  for (std::int64_t b = 0; b < 3; ++b) {
    const std::optional<Batch> batch = loader.next();
    REQUIRE(batch);
    CHECK(batch->epoch == 6);
    CHECK(batch->index == b);
    CHECK(batch->first == 4 * b);
    const std::int64_t rows = b == 2 ? 2 : 4;
    CHECK(batch->images.shape() == Shape{rows, 1, 1, 1});
    CHECK(batch->labels.shape() == Shape{rows});
    CHECK(batch->images.dtype() == DType::f64);
    CHECK(batch->labels.dtype() == DType::i64);
    for (std::int64_t r = 0; r < rows; ++r, ++seen) {
      const std::int64_t index = order[static_cast<std::size_t>(seen)];
      CHECK(batch->images.data<double>()[r] == static_cast<double>(index) / 255);
      CHECK(batch->labels.data<std::int64_t>()[r] == index % 4);
    }
  }
  CHECK_FALSE(loader.next());
  CHECK_FALSE(loader.next());
  CHECK(seen == 10);
}

TEST_CASE("without shuffle the order is that of the data set", "[loader]") {
  Loader loader(std::make_shared<Indexed>(6), {.batch_size = 6, .shuffle = false});
  loader.start_epoch(3);
  CHECK(loader.next()->labels.to_vector<int>() == std::vector<int>{0, 1, 2, 3, 0, 1});
}

TEST_CASE("drop_last leaves out the smaller batch", "[loader]") {
  Loader loader(small_data(), {.batch_size = 5, .drop_last = true});
  loader.start_epoch(0);
  CHECK(loader.batches() == 4);
  CHECK(rest_of_epoch(loader).size() == 4);
  CHECK(Loader(small_data(20), {.batch_size = 5}).batches() == 4);
}

TEST_CASE("a batch larger than the data set holds all of it", "[loader]") {
  Loader loader(small_data(3), {.batch_size = 100});
  loader.start_epoch(0);
  CHECK(loader.next()->images.shape() == Shape{3, 2, 4, 4});
  CHECK_FALSE(loader.next());
}

TEST_CASE("batches are bit-equal with any prefetch", "[loader][tsan]") {
  const auto data = small_data();
  std::vector<std::vector<Copy>> runs;
  for (const int prefetch : {0, 1, 3, 20}) {
    Loader loader(data, lively(prefetch));
    std::vector<Copy> run;
    for (const std::int64_t epoch : {0, 1, 5}) {
      loader.start_epoch(epoch);
      for (Copy& copy : rest_of_epoch(loader)) run.push_back(std::move(copy));
    }
    runs.push_back(std::move(run));
  }
  REQUIRE(runs[0].size() == 15);
  CHECK(runs[0][0].images != runs[0][5].images);
  CHECK(runs[1] == runs[0]);
  CHECK(runs[2] == runs[0]);
  CHECK(runs[3] == runs[0]);
}

TEST_CASE("f32 batches are the rounded f64 ones", "[loader]") {
  LoaderOptions options = lively(1);
  options.augmentation.normalise = small_data()->statistics();
  Loader single(small_data(), options);
  options.dtype = DType::f64;
  Loader both(small_data(), options);
  single.start_epoch(0);
  both.start_epoch(0);
  const std::vector<double> rounded = both.next()->images.to(DType::f32, Tag::data).to_vector<double>();
  CHECK(single.next()->images.to_vector<double>() == rounded);
}

TEST_CASE("a loader begins anywhere", "[loader][tsan]") {
  const auto data = small_data();
  for (const int prefetch : {0, 2}) {
    Loader whole(data, lively(prefetch));
    whole.start_epoch(4);
    const std::vector<Copy> all = rest_of_epoch(whole);
    REQUIRE(all.size() == 5);
    for (std::int64_t first = 0; first <= 5; ++first) {
      Loader resumed(data, lively(prefetch));
      resumed.start_epoch(4, first);
      CHECK(rest_of_epoch(resumed) == std::vector<Copy>(all.begin() + first, all.end()));
    }
  }
}

TEST_CASE("an epoch that is left half way leaves no trace", "[loader][tsan]") {
  const auto data = small_data();
  for (const int prefetch : {0, 1, 3}) {
    Loader loader(data, lively(prefetch));
    loader.start_epoch(1);
    const std::vector<Copy> expected = rest_of_epoch(loader);
    for (int taken = 0; taken < 4; ++taken) {
      loader.start_epoch(0);
      for (int b = 0; b < taken; ++b) REQUIRE(loader.next());
      loader.start_epoch(1);
      CHECK(rest_of_epoch(loader) == expected);
    }
  }
}

TEST_CASE("the loader prefetches, and no further than the ring", "[loader][tsan]") {
  const auto data = std::make_shared<Indexed>(100);
  Loader loader(data, {.batch_size = 10, .prefetch = 2});
  const auto settles_at = [&](int copies) {
    for (int wait = 0; wait < 10000 && data->copies < copies; ++wait)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return data->copies == copies;
  };
  CHECK(settles_at(0));
  loader.start_epoch(0);
  CHECK(settles_at(30));
  std::optional<Batch> batch = loader.next();
  CHECK(settles_at(30));  // one in the caller's hands, two ahead
  batch.reset();
  batch = loader.next();
  CHECK(settles_at(40));
}

TEST_CASE("the ring is allocated first and used over and over", "[loader][tsan]") {
  const auto data = small_data();
  const std::int64_t before = ledger().live(Tag::data);
  {
    Loader loader(data, lively(2));
    // [5,2,4,4] f32 is 640 bytes, [5] i64 is 40, rounded to 64
    const std::int64_t ring = 3 * (640 + 64);
    CHECK(ledger().live(Tag::data) - before == ring);
    const Counter counter(Tag::data);
    for (int epoch = 0; epoch < 3; ++epoch) {
      loader.start_epoch(epoch);
      while (const std::optional<Batch> batch = loader.next()) CHECK(batch->images.numel() > 0);
    }
    CHECK(counter.total() == 0);
    CHECK(counter.peak() == before + ring);
  }
  CHECK(ledger().live(Tag::data) == before);
}

TEST_CASE("a batch that is kept keeps its bytes", "[loader][tsan]") {
  for (const int prefetch : {0, 1, 3}) {
    Loader loader(small_data(), lively(prefetch));
    loader.start_epoch(0);
    const std::vector<Copy> expected = rest_of_epoch(loader);
    loader.start_epoch(0);
    std::vector<Batch> kept;
    while (std::optional<Batch> batch = loader.next()) kept.push_back(*batch);
    loader.start_epoch(1);
    CHECK(rest_of_epoch(loader).size() == expected.size());
    for (std::size_t b = 0; b < kept.size(); ++b) CHECK(copy_of(kept[b]) == expected[b]);
  }
}

TEST_CASE("a kept view of the images keeps them, too", "[loader]") {
  Loader loader(std::make_shared<Indexed>(8), {.batch_size = 2, .shuffle = false, .prefetch = 0});
  loader.start_epoch(0);
  const Tensor row = loader.next()->images.slice(1, 2);
  while (loader.next()) {
  }
  CHECK(roundings(row.item(), 1.0 / 255, DType::f32) <= 2);
}

TEST_CASE("a batch outlives its loader", "[loader][tsan]") {
  std::optional<Batch> batch;
  {
    Loader loader(std::make_shared<Indexed>(4), {.batch_size = 2, .shuffle = false});
    loader.start_epoch(0);
    batch = loader.next();
  }
  CHECK(batch->labels.to_vector<int>() == std::vector<int>{0, 1});
}

TEST_CASE("an error in the thread reaches the caller, after the good batches", "[loader][tsan]") {
  for (const int prefetch : {0, 1, 3}) {
    const auto data = std::make_shared<Indexed>(10);
    data->broken = 5;
    Loader loader(data, {.batch_size = 2, .shuffle = false, .prefetch = prefetch});
    loader.start_epoch(0);
    CHECK(loader.next());
    CHECK(loader.next());
    for (int again = 0; again < 2; ++again)
      CHECK(text_of<FormatError>([&] { loader.next(); }) == "[indexed] image must be whole");
    data->broken = -1;
    loader.start_epoch(0, 2);
    CHECK(rest_of_epoch(loader).size() == 3);
  }
}

TEST_CASE("the loader refuses a label outside the classes", "[loader][tsan]") {
  const auto data = std::make_shared<Indexed>(10);
  data->wrong_label = 3;
  Loader loader(data, {.batch_size = 10});
  loader.start_epoch(0);
  CHECK(text_of<ArgumentError>([&] { loader.next(); }) ==
        "[loader] the label of image 3 must be in [0,4), got 7");
}

TEST_CASE("a loader can be destroyed at any moment", "[loader][tsan]") {
  const auto data = std::make_shared<Indexed>(50);
  data->delay = std::chrono::microseconds(100);
  for (int taken = -1; taken < 5; ++taken) {
    Loader loader(data, {.batch_size = 5, .prefetch = 2});
    if (taken >= 0) loader.start_epoch(0);
    for (int b = 0; b < taken; ++b) CHECK(loader.next());
  }
  data->broken = 20;
  Loader failing(data, {.batch_size = 5, .prefetch = 3});
  failing.start_epoch(0);
}

TEST_CASE("the options for test images are not random", "[loader]") {
  const LoaderOptions options =
      LoaderOptions{
          .batch_size = 7, .drop_last = true, .augmentation = {.pad = 1, .flip = true}, .dtype = DType::f64}
          .for_evaluation();
  CHECK_FALSE(options.shuffle);
  CHECK_FALSE(options.drop_last);
  CHECK(options.augmentation.pad == 0);
  CHECK_FALSE(options.augmentation.flip);
  CHECK(options.batch_size == 7);
  CHECK(options.dtype == DType::f64);
}

TEST_CASE("the loader refuses options out of range", "[loader]") {
  const auto made = [](const LoaderOptions& options) { return [options] { Loader(small_data(), options); }; };
  CHECK(text_of<ArgumentError>(made({.batch_size = 0})) == "[loader] batch_size must be at least 1, got 0");
  CHECK(text_of<ArgumentError>(made({.batch_size = 24, .drop_last = true})) ==
        "[loader] batch_size must be at most 23, the images of the data set, with drop_last, got 24");
  CHECK(text_of<DTypeError>(made({.dtype = DType::u8})) == "[loader] dtype must be f32 or f64, got u8");
  CHECK(text_of<ArgumentError>(made({.prefetch = -1})) == "[loader] prefetch must be in [0,1000], got -1");
  CHECK(text_of<ArgumentError>(made({.augmentation = {.pad = 4}})) ==
        "[augmentation] pad must be in [0,4) for images [2,4,4], got 4");
  CHECK(text_of<ArgumentError>([] { Loader(nullptr, {}); }) == "[loader] the data set must not be null");
  CHECK(text_of<ArgumentError>([] { Loader(std::make_shared<Indexed>(0), {}); }) ==
        "[loader] the data set must hold at least 1 image, got 0");
}

TEST_CASE("the loader refuses an epoch or a batch that is not there", "[loader]") {
  Loader loader(small_data(), {.batch_size = 5});
  CHECK(text_of<ArgumentError>([&] { loader.next(); }) == "[loader] start_epoch must be called before next");
  CHECK(text_of<ArgumentError>([&] { loader.start_epoch(-1); }) ==
        "[loader] epoch must be 0 or more, got -1");
  CHECK(text_of<ArgumentError>([&] { loader.start_epoch(0, 6); }) ==
        "[loader] first_batch must be in [0,5], the batches of an epoch, got 6");
  CHECK(text_of<ArgumentError>([&] { loader.start_epoch(0, -1); }) ==
        "[loader] first_batch must be in [0,5], the batches of an epoch, got -1");
}
