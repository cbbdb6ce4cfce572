#include <retrace/nn/data/idx.h>

#include <numeric>

#include "support.h"

using namespace retrace;
using retrace::test::Bytes;
using retrace::test::TemporaryFolder;
using retrace::test::text_of;
namespace fs = std::filesystem;

namespace {

const std::string kImages = "train-images-idx3-ubyte";
const std::string kLabels = "train-labels-idx1-ubyte";

Bytes header(const std::vector<std::uint32_t>& words) {
  Bytes bytes;
  for (const std::uint32_t word : words)
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(word >> shift));
  return bytes;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// n images [2, 3] whose bytes count up from 0.
Bytes images(std::uint32_t n) {
  Bytes pixels(std::size_t{n} * 6);
  std::iota(pixels.begin(), pixels.end(), std::uint8_t{0});
  return header({0x803, n, 2, 3}) + pixels;
}

Bytes labels(const Bytes& values) {
  return header({0x801, static_cast<std::uint32_t>(values.size())}) + values;
}

template <class E>
std::string error_in(const TemporaryFolder& folder) {
  return text_of<E>([&] { mnist(folder.path(), Split::train); });
}

}  // namespace

TEST_CASE("IDX files are read, plain and gzipped", "[data][idx]") {
  const TemporaryFolder folder;
  SECTION("plain") {
    test::write_file(folder.file(kImages), images(3));
    test::write_file(folder.file(kLabels), labels({7, 0, 9}));
  }
  SECTION("gzip") {
    test::write_gzip(folder.file(kImages + ".gz"), images(3));
    test::write_gzip(folder.file(kLabels + ".gz"), labels({7, 0, 9}));
  }
  SECTION("one of each; the plain one is preferred") {
    test::write_file(folder.file(kImages), images(3));
    test::write_gzip(folder.file(kLabels + ".gz"), labels({7, 0, 9}));
    test::write_file(folder.file(kImages + ".gz"), Bytes{1, 2, 3});
  }
  SECTION("a gzip file of two members") {
    test::write_file(folder.file(kLabels), labels({7, 0, 9}));
    const Bytes whole = images(3);
    test::write_gzip(folder.file("a"), Bytes(whole.begin(), whole.begin() + 10));
    test::write_gzip(folder.file("b"), Bytes(whole.begin() + 10, whole.end()));
    test::write_file(folder.file(kImages + ".gz"),
                     test::read_file(folder.file("a")) + test::read_file(folder.file("b")));
  }
  const auto data = mnist(folder.path(), Split::train);
  CHECK(data->size() == 3);
  CHECK(data->image_shape() == Shape{1, 2, 3});
  CHECK(data->classes() == 10);
  CHECK(data->labels().to_vector<std::int64_t>() == std::vector<std::int64_t>{7, 0, 9});
  Bytes image(6);
  data->copy_image(2, image);
  CHECK(image == Bytes{12, 13, 14, 15, 16, 17});
}

TEST_CASE("the test split has files of its own", "[data][idx]") {
  const TemporaryFolder folder;
  test::write_file(folder.file("t10k-images-idx3-ubyte"), images(1));
  test::write_file(folder.file("t10k-labels-idx1-ubyte"), labels({4}));
  CHECK(mnist(folder.path(), Split::test)->label(0) == 4);
  CHECK(fashion_mnist(folder.path(), Split::test)->class_names()[9] == "ankle boot");
}

TEST_CASE("more than one piece of memory is read whole", "[data][idx]") {
  const TemporaryFolder folder;
  const std::uint32_t n = 250;  // 250 * 100 * 100 bytes = 2.4 MiB
  Bytes pixels(std::size_t{n} * 10000);
  for (std::size_t p = 0; p < pixels.size(); ++p)
    pixels[p] = static_cast<std::uint8_t>(p * 2654435761U >> 13);
  test::write_gzip(folder.file(kImages + ".gz"), header({0x803, n, 100, 100}) + pixels);
  test::write_file(folder.file(kLabels), labels(Bytes(n, 1)));
  const auto data = mnist(folder.path(), Split::train);
  CHECK(data->images().to_vector<std::uint8_t>() == pixels);
}

TEST_CASE("IDX: a missing folder or file is an error", "[data][idx]") {
  const TemporaryFolder folder;
  CHECK(text_of<IoError>([&] { mnist(folder.path() / "none", Split::train); }) ==
        "[mnist] the folder " + folder.file("none") +
            " must exist (it holds train-images-idx3-ubyte, plain or with .gz)");
  CHECK(text_of<IoError>([&] { fashion_mnist(folder.path() / "none", Split::train); }) ==
        "[fashion-mnist] the folder " + folder.file("none") +
            " must exist (Debian's package dataset-fashion-mnist installs the data)");
  CHECK(error_in<IoError>(folder) == "[mnist] " + folder.file(kImages) + " must exist, plain or with .gz");
  test::write_file(folder.file(kImages), images(1));
  CHECK(error_in<IoError>(folder) == "[mnist] " + folder.file(kLabels) + " must exist, plain or with .gz");
  fs::create_directory(folder.path() / kLabels);
  CHECK(error_in<IoError>(folder) == "[mnist] " + folder.file(kLabels) + " must be a file");
}

TEST_CASE("IDX: a file of another size is an error", "[data][idx]") {
  const TemporaryFolder folder;
  test::write_file(folder.file(kLabels), labels({1, 2}));
  const auto error_of = [&](Bytes bytes, bool gzip) {
    fs::remove(folder.path() / kImages);
    if (gzip)
      test::write_gzip(folder.file(kImages + ".gz"), bytes);
    else
      test::write_file(folder.file(kImages), bytes);
    return error_in<FormatError>(folder);
  };
  const auto cut = [](std::size_t bytes) {
    Bytes all = images(2);
    all.resize(bytes);
    return all;
  };
  const std::string plain = "[mnist] " + folder.file(kImages);
  const std::string inflated = plain + ".gz";
  CHECK(error_of(cut(0), false) == plain + " must be at least 16 bytes, got 0");
  CHECK(error_of(cut(15), false) == plain + " must be at least 16 bytes, got 15");
  CHECK(error_of(cut(16), false) ==
        plain + " must be 28 bytes for the extents [2,2,3] in its header, got 16");
  CHECK(error_of(cut(27), false) ==
        plain + " must be 28 bytes for the extents [2,2,3] in its header, got 27");
  CHECK(error_of(cut(29), false) ==
        plain + " must be 28 bytes for the extents [2,2,3] in its header, got 29");
  CHECK(error_of(cut(15), true) == inflated + " must be at least 16 bytes, got 15");
  CHECK(error_of(cut(27), true) ==
        inflated + " must be 28 bytes when inflated for the extents [2,2,3] in its header, got 27");
  CHECK(error_of(cut(100000), true) ==
        inflated + " must be 28 bytes when inflated for the extents [2,2,3] in its header, got 100000");
}

TEST_CASE("IDX: a gzip that inflates for ever is not followed", "[data][idx]") {
  const TemporaryFolder folder;
  test::write_file(folder.file(kLabels), labels({1, 2}));
  const std::string file = "[mnist] " + folder.file(kImages) + ".gz must be ";
  test::write_gzip(folder.file(kImages + ".gz"), images(2) + Bytes(std::size_t{1} << 26));
  CHECK(error_in<FormatError>(folder) ==
        file + "28 bytes when inflated for the extents [2,2,3] in its header, got at least 1048604");

  test::write_gzip(folder.file(kImages + ".gz"), header({0x803, 1000000000, 28, 28}));
  const auto bytes = static_cast<std::int64_t>(fs::file_size(folder.path() / (kImages + ".gz")));
  CHECK(
      error_in<FormatError>(folder) ==
      file +
          "784000000016 bytes when inflated for the extents [1000000000,28,28] in its header, got at most " +
          std::to_string(1032 * bytes));
}

TEST_CASE("IDX: a wrong magic number is an error", "[data][idx]") {
  const TemporaryFolder folder;
  test::write_file(folder.file(kImages), labels(Bytes(20, 1)));
  CHECK(error_in<FormatError>(folder) ==
        "[mnist] " + folder.file(kImages) + " must begin with the magic number 0x00000803, got 0x00000801");
  test::write_file(folder.file(kImages), images(2));
  test::write_file(folder.file(kLabels), images(2));
  CHECK(error_in<FormatError>(folder) ==
        "[mnist] " + folder.file(kLabels) + " must begin with the magic number 0x00000801, got 0x00000803");
}

TEST_CASE("IDX: a lying header costs no memory", "[data][idx]") {
  const TemporaryFolder folder;
  test::write_file(folder.file(kLabels), labels({1, 2}));
  const std::string file = "[mnist] " + folder.file(kImages);
  const auto error_of = [&](const std::vector<std::uint32_t>& words) {
    test::write_file(folder.file(kImages), header(words) + Bytes(12));
    return error_in<FormatError>(folder);
  };
  CHECK(error_of({0x803, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}) ==
        file +
            " must have extents of at least 1 and at most 2^40 bytes in all, got [4294967295,4294967295] in "
            "its header");
  CHECK(error_of({0x803, 0, 28, 28}) ==
        file + " must have extents of at least 1 and at most 2^40 bytes in all, got [0] in its header");
  CHECK(error_of({0x803, 1000000000, 28, 28}) ==
        file + " must be 784000000016 bytes for the extents [1000000000,28,28] in its header, got 28");
}

TEST_CASE("IDX: a corrupt gzip is an error", "[data][idx]") {
  const TemporaryFolder folder;
  test::write_file(folder.file(kLabels), labels({1, 2}));
  const std::string name = kImages + ".gz";
  test::write_gzip(folder.file(name), images(2));
  Bytes bytes = test::read_file(folder.file(name));
  const std::string file = "[mnist] " + folder.file(name);

  SECTION("no gzip at all") {
    test::write_file(folder.file(name), images(2));
    CHECK(error_in<FormatError>(folder) ==
          file + " must be a gzip file, got a corrupt one: incorrect header check");
  }
  SECTION("cut off") {
    bytes.resize(bytes.size() - 5);
    test::write_file(folder.file(name), bytes);
    CHECK(error_in<FormatError>(folder) == file + " must be a whole gzip file, got one that is cut off");
  }
  SECTION("another checksum") {
    bytes[bytes.size() - 8] ^= 1;
    test::write_file(folder.file(name), bytes);
    CHECK(error_in<FormatError>(folder) ==
          file + " must be a gzip file, got a corrupt one: incorrect data check");
  }
  SECTION("something behind the end") {
    test::write_file(folder.file(name), bytes + Bytes{1, 2, 3});
    CHECK(error_in<FormatError>(folder) ==
          file + " must be a gzip file, got a corrupt one: incorrect header check");
  }
  SECTION("another byte in the middle") {
    bytes[12] ^= 0xFF;
    test::write_file(folder.file(name), bytes);
    CHECK(error_in<FormatError>(folder).starts_with(file));
  }
}

TEST_CASE("IDX: images and labels that differ in number are an error", "[data][idx]") {
  const TemporaryFolder folder;
  test::write_file(folder.file(kImages), images(2));
  test::write_file(folder.file(kLabels), labels({1, 2, 3}));
  CHECK(error_in<FormatError>(folder) == "[mnist] " + folder.file(kLabels) +
                                             " must hold one label for each of the 2 images of " +
                                             folder.file(kImages) + ", got 3");
}

TEST_CASE("IDX: a label outside the classes is an error", "[data][idx]") {
  const TemporaryFolder folder;
  test::write_file(folder.file(kImages), images(2));
  test::write_file(folder.file(kLabels), labels({1, 10}));
  CHECK(error_in<FormatError>(folder) ==
        "[mnist] " + folder.file(kLabels) + ": label 1 must be in [0,10), got 10");
}

TEST_CASE("Fashion-MNIST: the real files", "[data][idx]") {
  const bool installed = fs::exists("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz");
  if (test::skip_unless(installed, "needs Debian's package dataset-fashion-mnist")) return;
  const auto train = fashion_mnist("", Split::train);
  CHECK(train->size() == 60000);
  CHECK(train->image_shape() == Shape{1, 28, 28});
  CHECK(train->label(0) == 9);
  CHECK(train->statistics().mean[0] == Approx(0.2860).margin(5e-5));
  CHECK(train->statistics().stddev[0] == Approx(0.3530).margin(5e-5));
  CHECK(fashion_mnist("", Split::test)->size() == 10000);
}
