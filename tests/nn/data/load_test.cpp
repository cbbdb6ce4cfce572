#include <retrace/nn/data/load.h>
#include <retrace/nn/data/synthetic.h>

#include "support.h"

using namespace retrace;
using retrace::test::text_of;

TEST_CASE("the known data sets", "[data][load]") {
  CHECK(dataset_names() ==
        std::vector<std::string>{"cifar10", "cifar100", "mnist", "fashion-mnist", "synthetic"});
}

TEST_CASE("every known name reaches its own reader", "[data][load]") {
  const test::TemporaryFolder folder;
  const std::string none = folder.file("none");
  for (const std::string& name : dataset_names()) {
    if (name == "synthetic") continue;
    const std::string text = text_of<IoError>([&] { load_dataset(name, none, Split::train); });
    CHECK(text.starts_with("[" + name + "] the folder " + none + " must exist"));
  }
}

TEST_CASE("synthetic needs no folder", "[data][load]") {
  const auto test = load_dataset("synthetic", "", Split::test);
  CHECK(test->size() == 1000);
  CHECK(test->image_shape() == Shape{3, 32, 32});
  CHECK(test->classes() == 10);
}

TEST_CASE("an unknown name is an error that lists the known ones", "[data][load]") {
  CHECK(text_of<ArgumentError>([] { load_dataset("imagenet", "", Split::train); }) ==
        "[load_dataset] the name must be one of cifar10, cifar100, mnist, fashion-mnist, synthetic, got "
        "'imagenet'");
  const auto data = synthetic({.images = 2, .shape = {1, 4, 4}});
  CHECK(text_of<ArgumentError>([&] { usual_augmentation("", *data); }) ==
        "[usual_augmentation] the name must be one of cifar10, cifar100, mnist, fashion-mnist, synthetic, "
        "got ''");
}

TEST_CASE("what is usual normalises, and moves and flips where that keeps the class", "[data][load]") {
  const auto data = synthetic({.images = 20, .shape = {1, 8, 8}});
  const Augmentation cifar = usual_augmentation("cifar10", *data);
  CHECK(cifar.pad == 4);
  CHECK(cifar.flip);
  REQUIRE(cifar.normalise);
  CHECK(cifar.normalise->mean == data->statistics().mean);
  CHECK(cifar.normalise->stddev == data->statistics().stddev);
  CHECK_FALSE(usual_augmentation("mnist", *data).flip);
  CHECK(usual_augmentation("synthetic", *data).pad == 0);
}
