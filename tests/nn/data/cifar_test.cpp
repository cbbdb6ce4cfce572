#include <retrace/nn/data/cifar.h>
#include <retrace/nn/data/input_file.h>

#include <cstdlib>
#include <set>

#include "support.h"

using namespace retrace;
using retrace::test::Bytes;
using retrace::test::TemporaryFolder;
using retrace::test::text_of;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPixels = 3072;

/// Records with the labels given, each filled with its own number.
Bytes records(const std::vector<Bytes>& labels) {
  Bytes bytes;
  for (std::size_t r = 0; r < labels.size(); ++r) {
    bytes.insert(bytes.end(), labels[r].begin(), labels[r].end());
    bytes.insert(bytes.end(), kPixels, static_cast<std::uint8_t>(r));
  }
  return bytes;
}

/// A file of zeros (a hole, which costs no disk) that ends in the bytes given.
void write_sparse(const fs::path& path, std::uintmax_t size, const Bytes& end = {}) {
  test::write_file(path, {});
  fs::resize_file(path, size - end.size());
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file.write(reinterpret_cast<const char*>(end.data()), static_cast<std::streamsize>(end.size()));
}

void write_train_files(const TemporaryFolder& folder) {
  for (int part = 1; part <= 5; ++part)
    write_sparse(folder.file("data_batch_" + std::to_string(part) + ".bin"), 10000 * 3073,
                 records({{static_cast<std::uint8_t>(part)}}));
}

}  // namespace

TEST_CASE("CIFAR-10: a test file with few records is read", "[data][cifar]") {
  const TemporaryFolder folder;
  Bytes bytes = records({{3}, {9}, {0}});
  bytes[1] = 200;                // red, first row, first column
  bytes[1 + 1024 + 33] = 201;    // green, second row, second column
  bytes[1 + 2048 + 1023] = 202;  // blue, last row, last column
  test::write_file(folder.file("test_batch.bin"), bytes);

  const auto data = cifar10(folder.path(), Split::test);
  CHECK(data->size() == 3);
  CHECK(data->image_shape() == Shape{3, 32, 32});
  CHECK(data->labels().to_vector<std::int64_t>() == std::vector<std::int64_t>{3, 9, 0});
  Bytes image(kPixels);
  data->copy_image(0, image);
  CHECK(image[0] == 200);
  CHECK(image[1024 + 33] == 201);
  CHECK(image[2048 + 1023] == 202);
  CHECK(image[1] == 0);
  data->copy_image(2, image);
  CHECK(image == Bytes(kPixels, 2));
}

TEST_CASE("CIFAR-10: the five training files follow each other", "[data][cifar]") {
  const TemporaryFolder folder;
  write_train_files(folder);
  const auto data = cifar10(folder.path(), Split::train);
  CHECK(data->size() == 50000);
  for (int part = 1; part <= 5; ++part) {
    CHECK(data->label(10000 * part - 1) == part);
    CHECK(data->label(10000 * part - 2) == 0);
  }
}

TEST_CASE("CIFAR-10: the archive's own folder is found", "[data][cifar]") {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "cifar-10-batches-bin");
  test::write_file(folder.file("cifar-10-batches-bin/test_batch.bin"), records({{7}}));
  CHECK(cifar10(folder.path(), Split::test)->label(0) == 7);
}

TEST_CASE("CIFAR-100: the fine label counts", "[data][cifar]") {
  const TemporaryFolder folder;
  test::write_file(folder.file("test.bin"), records({{11, 98}, {19, 0}}));
  const auto data = cifar100(folder.path(), Split::test);
  CHECK(data->labels().to_vector<std::int64_t>() == std::vector<std::int64_t>{98, 0});
  Bytes image(kPixels);
  data->copy_image(1, image);
  CHECK(image == Bytes(kPixels, 1));
  CHECK(data->class_names()[98] == "woman");
}

TEST_CASE("CIFAR-100: the training file is read whole", "[data][cifar]") {
  const TemporaryFolder folder;
  write_sparse(folder.file("train.bin"), 50000 * 3074, records({{5, 42}}));
  const auto data = cifar100(folder.path(), Split::train);
  CHECK(data->size() == 50000);
  CHECK(data->label(49998) == 0);
  CHECK(data->label(49999) == 42);
  fs::resize_file(folder.path() / "train.bin", 50000 * 3074 - 3074);
  CHECK(text_of<FormatError>([&] { cifar100(folder.path(), Split::train); }) ==
        "[cifar100] " + folder.file("train.bin") +
            " must be 153700000 bytes (50000 records of 3074), got 153696926");
}

TEST_CASE("CIFAR's class names are distinct", "[data][cifar]") {
  const TemporaryFolder folder;
  test::write_file(folder.file("test.bin"), records({{0, 0}}));
  test::write_file(folder.file("test_batch.bin"), records({{0}}));
  const auto many = cifar100(folder.path(), Split::test)->class_names();
  CHECK(std::is_sorted(many.begin(), many.end()));
  CHECK(std::set<std::string>(many.begin(), many.end()).size() == 100);
  const auto ten = cifar10(folder.path(), Split::test)->class_names();
  CHECK(std::set<std::string>(ten.begin(), ten.end()).size() == 10);
  CHECK(ten[6] == "frog");
}

TEST_CASE("CIFAR: a missing folder or file is an error", "[data][cifar]") {
  const TemporaryFolder folder;
  CHECK(text_of<ArgumentError>([] { cifar10("", Split::train); }) ==
        "[cifar10] the folder of the data must be given (it holds data_batch_1.bin)");
  CHECK(text_of<IoError>([&] { cifar100(folder.path() / "none", Split::test); }) ==
        "[cifar100] the folder " + folder.file("none") + " must exist (it holds test.bin)");
  CHECK(text_of<IoError>([&] { cifar100(folder.path(), Split::train); }) ==
        "[cifar100] " + folder.file("train.bin") + " must exist");
  fs::create_directory(folder.path() / "train.bin");
  CHECK(text_of<IoError>([&] { cifar100(folder.path(), Split::train); }) ==
        "[cifar100] " + folder.file("train.bin") + " must be a file");
  write_train_files(folder);
  fs::remove(folder.path() / "data_batch_4.bin");
  CHECK(text_of<IoError>([&] { cifar10(folder.path(), Split::train); }) ==
        "[cifar10] " + folder.file("data_batch_4.bin") + " must exist");
}

TEST_CASE("CIFAR: a file of another size is an error", "[data][cifar]") {
  const TemporaryFolder folder;
  write_train_files(folder);
  const auto train_error = [&](std::uintmax_t size) {
    fs::resize_file(folder.path() / "data_batch_2.bin", size);
    return text_of<FormatError>([&] { cifar10(folder.path(), Split::train); });
  };
  const std::string wanted = "[cifar10] " + folder.file("data_batch_2.bin") +
                             " must be 30730000 bytes (10000 records of 3073), got ";
  CHECK(train_error(30729999) == wanted + "30729999");
  CHECK(train_error(30730001) == wanted + "30730001");
  CHECK(train_error(15365000) == wanted + "15365000");  // whole records, but too few
  CHECK(train_error(0) == wanted + "0");

  const auto test_error = [&](std::uintmax_t size) {
    write_sparse(folder.file("test_batch.bin"), size);
    return text_of<FormatError>([&] { cifar10(folder.path(), Split::test); });
  };
  const std::string file = "[cifar10] " + folder.file("test_batch.bin");
  CHECK(test_error(0) == file + " must be 3073 bytes (1 records of 3073, at most 10000), got 0");
  CHECK(test_error(6145) == file + " must be 6146 bytes (2 records of 3073, at most 10000), got 6145");
  CHECK(test_error(30733073) ==
        file + " must be 30730000 bytes (10000 records of 3073, at most 10000), got 30733073");

  const std::string html = "<!DOCTYPE html>";
  test::write_file(folder.file("test_batch.bin"), Bytes(html.begin(), html.end()));
  CHECK(text_of<FormatError>([&] { cifar10(folder.path(), Split::test); }) ==
        file +
            " must be 3073 bytes (1 records of 3073, at most 10000), got 15; it looks like an HTML page, "
            "perhaps of a failed "
            "download");
  const Bytes gzip = {0x1f, 0x8b, 8, 0};
  test::write_file(folder.file("data_batch_2.bin"), gzip);
  CHECK(text_of<FormatError>([&] { cifar10(folder.path(), Split::train); }) ==
        wanted + "4; it looks like gzip-compressed; gunzip unpacks it");
}

TEST_CASE("CIFAR: a label outside the classes is an error", "[data][cifar]") {
  const TemporaryFolder folder;
  test::write_file(folder.file("test_batch.bin"), records({{3}, {10}}));
  CHECK(text_of<FormatError>([&] { cifar10(folder.path(), Split::test); }) ==
        "[cifar10] " + folder.file("test_batch.bin") + ": the label of record 1 must be in [0,10), got 10");
  test::write_file(folder.file("test.bin"), records({{3, 100}}));
  CHECK(text_of<FormatError>([&] { cifar100(folder.path(), Split::test); }) ==
        "[cifar100] " + folder.file("test.bin") + ": the label of record 0 must be in [0,100), got 100");
}

namespace {

/// Takes root's right to read everything away for a while; does nothing for other users.
class Unprivileged {
 public:
  Unprivileged() { changed_ = geteuid() == 0 && seteuid(65534) == 0; }
  ~Unprivileged() {
    if (changed_) CHECK(seteuid(0) == 0);
  }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;

 private:
  bool changed_ = false;
};

}  // namespace

TEST_CASE("CIFAR: a file that may not be read is an error", "[data][cifar]") {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0755));
  test::write_file(folder.file("test.bin"), records({{3, 1}}));
  fs::permissions(folder.path() / "test.bin", fs::perms::none);
  const Unprivileged guard;
  CHECK(text_of<IoError>([&] { cifar100(folder.path(), Split::test); }) ==
        "[cifar100] " + folder.file("test.bin") + " must be readable");
}

namespace {

/// The real files, where the environment or the folder beside the sources has them.
fs::path real_cifar10() {
  if (const char* given = std::getenv("RETRACE_CIFAR10_DIR")) return given;
  return fs::path(RETRACE_SOURCE_ROOT) / "../shared/data/cifar-10-batches-bin";
}

}  // namespace

TEST_CASE("CIFAR-10: the real files", "[data][cifar]") {
  if (test::skip_unless(fs::is_directory(real_cifar10()), "needs CIFAR-10 in RETRACE_CIFAR10_DIR")) return;
  const auto train = cifar10(real_cifar10(), Split::train);
  CHECK(train->size() == 50000);
  const std::vector<std::int64_t> labels = train->labels().to_vector<std::int64_t>();
  CHECK(std::vector(labels.begin(), labels.begin() + 10) ==
        std::vector<std::int64_t>{6, 9, 9, 4, 1, 1, 2, 7, 8, 3});
  for (std::int64_t c = 0; c < 10; ++c) CHECK(std::count(labels.begin(), labels.end(), c) == 5000);
  // as published, with four decimals
  const ChannelStatistics& statistics = train->statistics();
  CHECK(statistics.mean[0] == Approx(0.4914).margin(5e-5));
  CHECK(statistics.mean[1] == Approx(0.4822).margin(5e-5));
  CHECK(statistics.mean[2] == Approx(0.4465).margin(5e-5));
  CHECK(statistics.stddev[0] == Approx(0.2470).margin(5e-5));
  CHECK(statistics.stddev[1] == Approx(0.2435).margin(5e-5));
  CHECK(statistics.stddev[2] == Approx(0.2616).margin(5e-5));

  const auto test = cifar10(real_cifar10(), Split::test);
  CHECK(test->size() >= 1000);
  CHECK(test->label(0) == 3);
}

TEST_CASE("a file that cannot be read to its end is an error", "[data]") {
  detail::InputFile file("cifar10", "/proc/self/mem");  // nothing is mapped at its beginning
  Bytes bytes(16);
  CHECK(text_of<IoError>([&] { file.read(bytes); }) ==
        "[cifar10] /proc/self/mem must be readable to its end");
}
