#include <retrace/core/error.h>
#include <retrace/core/file.h>
#include <retrace/nn/safetensors.h>

#include <cstdint>
#include <cstring>
#include <ctime>
#include <string>

#include "../support/catch.h"
#include "../support/temporary_folder.h"

using namespace retrace;
using retrace::test::TemporaryFolder;

namespace {

/// A file with this header, whatever it says, and so many bytes of data.
std::string file_with(const std::string& header, std::size_t data_bytes = 0) {
  const std::uint64_t length = header.size();
  std::string content(8, '\0');
  std::memcpy(content.data(), &length, 8);
  return content + header + std::string(data_bytes, '\0');
}

void check_rejected(const std::string& content, const std::string& reason) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "bad.safetensors";
  write_file_atomically(path, content);
  CHECK_THROWS_AS(load_tensors(path), FormatError);
  CHECK_THROWS_WITH(load_tensors(path),
                    "[load_tensors] " + path.string() + " must be a safetensors file, but " + reason);
}

}  // namespace

TEST_CASE("tensors of every type come back bit by bit, in their order", "[safetensors]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "all.safetensors";
  const std::vector<Named<Tensor>> tensors = {
      {"mask", Tensor::from<std::uint8_t>({1, 0, 255}, {3})},
      {"weight", Tensor::from<float>({1.5F, -0.0F, 1e-42F, 3e38F, 5, 6}, {2, 3})},
      {"brain", Tensor::from<double>({0.1, -3e38, 7}, {3}).to(DType::bf16, Tag::data)},
      {"half", Tensor::from<double>({0.1, -6e4, 6e-8}, {3}).to(DType::f16, Tag::data)},
      {"mean", Tensor::from<double>({0.1, -1e-310}, {2, 1})},
      {"steps", Tensor::from<std::int64_t>({-(std::int64_t{1} << 62)}, {})},
      {"label \"\u00e9\"", Tensor::from<std::int32_t>({-7, 9}, {1, 2})}};
  save_tensors(path, tensors, {{"network", "revnet38"}, {"note", "two\nlines"}});

  const TensorFile file = load_tensors(path);
  CHECK(file.metadata == Metadata{{"network", "revnet38"}, {"note", "two\nlines"}});
  REQUIRE(file.tensors.size() == tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = file.tensors[i];
    CHECK(name == tensors[i].first);
    CHECK(tensor.dtype() == tensors[i].second.dtype());
    CHECK(tensor.shape() == tensors[i].second.shape());
    visit(tensor.dtype(), [&, &read = tensor, &written = tensors[i].second]<class T>(TypeTag<T>) {
      CHECK(std::memcmp(read.data<T>(), written.data<T>(), static_cast<std::size_t>(read.bytes())) == 0);
    });
  }
}

TEST_CASE("the bytes of a file are those that the format asks for", "[safetensors]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "two.safetensors";
  save_tensors(path, {{"a", Tensor::from<std::uint8_t>({1, 2}, {2})}, {"b", Tensor::from<float>({1}, {1})}});

  // the wide type comes first in the data, so that it is aligned; the header keeps the order
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string padding(8 - header.size() % 8, ' ');
  const std::string data = {'\0', '\0', '\x80', '\x3f', '\x01', '\x02'};
  CHECK(read_file(path) == file_with(header + padding) + data);
}

TEST_CASE("a file without tensors is one", "[safetensors]") {
  const TemporaryFolder folder;
  save_tensors(folder / "none.safetensors", {});
  CHECK(load_tensors(folder / "none.safetensors").tensors.empty());
}

TEST_CASE("a scalar that PyTorch wrote, with metadata, is read", "[safetensors]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "torch.safetensors";
  write_file_atomically(path, file_with(R"( {"__metadata__":{"format":"pt"}, "n":{"shape":[],"dtype":"I64",)"
                                        R"("data_offsets":[0,8]}}   )",
                                        8));
  const TensorFile file = load_tensors(path);
  CHECK(file.metadata == Metadata{{"format", "pt"}});
  REQUIRE(file.tensors.size() == 1);
  CHECK(file.tensors.front().second.shape() == Shape{});
  CHECK(file.tensors.front().second.item() == 0);
}

TEST_CASE("broken lengths are rejected", "[safetensors]") {
  check_rejected("", "it must begin with 8 bytes of header length, got 0 bytes in all");
  check_rejected("1234567", "it must begin with 8 bytes of header length, got 7 bytes in all");
  std::string content = file_with("{}");
  content[0] = 3;
  check_rejected(content, "its header must have 3 bytes, and 2 are left in the file");
  std::memset(content.data(), 0xff, 8);
  check_rejected(content, "its header must have 18446744073709551615 bytes, and 2 are left in the file");
}

TEST_CASE("broken headers are rejected", "[safetensors]") {
  check_rejected(file_with("[1,2]"), "its header must be a JSON object, got [1,2]");
  check_rejected(file_with(R"({"a":1})"),
                 "'a' must have dtype, shape and data_offsets, and nothing else, got 1");
  check_rejected(
      file_with(R"({"a":{"dtype":"F32","shape":[1]}})", 4),
      R"('a' must have dtype, shape and data_offsets, and nothing else, got {"dtype":"F32","shape":[1]})");
  const std::string a = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  check_rejected(file_with("{" + a + "," + a + "}", 1),
                 R"(its header must have each key once, got "a" twice)");
  check_rejected(file_with(std::string(100'000, '[')), "its header must not nest deeper than 4 levels");
  check_rejected(file_with(R"({"__metadata__":1})"), "__metadata__ must be a JSON object of strings, got 1");
  check_rejected(file_with(R"({"__metadata__":{"step":1}})"),
                 "__metadata__ must hold strings, got 1 for 'step'");

  const TemporaryFolder folder;
  for (const char* text : {"", "{", "{\"a\":", "{}x", "\xff\xff", "{\"\xff\":1}"}) {
    write_file_atomically(folder / "bad", file_with(text));
    CHECK_THROWS_AS(load_tensors(folder / "bad"), FormatError);
    CHECK_THROWS_WITH(load_tensors(folder / "bad"),
                      Catch::Matchers::ContainsSubstring("its header must be JSON: "));
  }
}

TEST_CASE("entries that do not describe a tensor are rejected", "[safetensors]") {
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return file_with(
        R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", 8);
  };
  check_rejected(entry(R"("F8")", "[4]", "[0,8]"),
                 R"(the dtype of 'w' must be F32, F64, BF16, F16, U8, I32 or I64, got "F8")");
  check_rejected(entry("7", "[4]", "[0,8]"),
                 "the dtype of 'w' must be F32, F64, BF16, F16, U8, I32 or I64, got 7");

  for (const std::string shape : {"[-1]", "[2.5]", "[\"2\"]", "2", "null", "[9223372036854775808]", "[[2]]"})
    check_rejected(entry(R"("F32")", shape, "[0,8]"),
                   "the shape of 'w' must be an array of extents, got " + shape);
  check_rejected(
      entry(R"("F32")", "[2,0]", "[0,8]"),
      "the shape of 'w' must be one that retrace has: [shape] every extent must be at least 1, got [2,0]");
  check_rejected(entry(R"("F32")", "[1,1,1,1,1,1,1,1,2]", "[0,8]"),
                 "the shape of 'w' must be one that retrace has: [shape] the rank must be at most 8, got 9");
  check_rejected(entry(R"("F32")", "[4294967296,4294967296]", "[0,8]"),
                 "the shape of 'w' must be one that retrace has: [shape] the product of the extents must be "
                 "at most 2^59, "
                 "got [4294967296,4294967296]");

  for (const std::string offsets : {"[0]", "[0,4,8]", "[0,-8]", "[0.5,8]", "8", "{}"})
    check_rejected(entry(R"("F32")", "[2]", offsets),
                   "the data_offsets of 'w' must be two numbers, got " + offsets);
  for (const std::string offsets : {"[0,9]", "[8,0]", "[9,18446744073709551615]"})
    check_rejected(entry(R"("F32")", "[2]", offsets),
                   "the data_offsets of 'w' must lie within the 8 bytes of data, got " + offsets);
  check_rejected(entry(R"("F32")", "[3]", "[0,8]"),
                 "the data_offsets of 'w' must cover 3 elements of 4 bytes for [3], got 8 bytes");
  check_rejected(entry(R"("F32")", "[1]", "[0,7]"),
                 "the data_offsets of 'w' must cover 1 elements of 4 bytes for [1], got 7 bytes");
  check_rejected(
      entry(R"("F64")", "[288230376151711744]", "[0,8]"),
      "the data_offsets of 'w' must cover 288230376151711744 elements of 8 bytes for [288230376151711744], "
      "got 8 bytes");
}

TEST_CASE("tensors that do not cover the data exactly are rejected", "[safetensors]") {
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  check_rejected(file_with(two("[0,4]", "[2,6]"), 6),
                 "'b' must begin where the tensor before it ends, at 4, got 2");
  check_rejected(file_with(two("[5,9]", "[0,4]"), 9),
                 "'a' must begin where the tensor before it ends, at 4, got 5");
  check_rejected(file_with(two("[0,4]", "[4,8]"), 9), "its tensors must cover all bytes of data, got 8 of 9");
  check_rejected(file_with("{}", 1), "its tensors must cover all bytes of data, got 0 of 1");
}

TEST_CASE("a file that was cut anywhere is rejected", "[safetensors]") {
  const TemporaryFolder folder;
  save_tensors(folder / "whole",
               {{"a", Tensor::from<float>({1, 2}, {2})}, {"b", Tensor::from<std::uint8_t>({3}, {1})}});
  const std::string whole = read_file(folder / "whole");
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    write_file_atomically(folder / "cut", whole.substr(0, bytes));
    CHECK_THROWS_AS(load_tensors(folder / "cut"), FormatError);
  }
}

TEST_CASE("names that the format cannot hold are not written", "[safetensors]") {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "bad.safetensors";
  const Tensor x = Tensor::zeros({1}, DType::f32);
  CHECK_THROWS_AS(save_tensors(path, {{"a", x}, {"a", x}}), ArgumentError);
  CHECK_THROWS_WITH(save_tensors(path, {{"a", x}, {"b", x}, {"a", x}}),
                    "[save_tensors] each name must occur once, got 'a' twice");
  CHECK_THROWS_WITH(save_tensors(path, {{"__metadata__", x}}),
                    "[save_tensors] a tensor may have any name but __metadata__, which is the format's own");
  CHECK_THROWS_AS(save_tensors(path, {{"\xff", x}}), ArgumentError);
  CHECK_THROWS_WITH(save_tensors(path, {{"\xff", x}}), R"([save_tensors] a name must be UTF-8, got '\xff')");
  CHECK_THROWS_WITH(save_tensors(path, {}, {{"\xff", "x"}}),
                    R"([save_tensors] a key of the metadata must be UTF-8, got '\xff')");
  CHECK_THROWS_WITH(save_tensors(path, {}, {{"x", "\xff"}}),
                    R"([save_tensors] a value of the metadata must be UTF-8, got '\xff')");
  CHECK_THROWS_WITH(
      save_tensors(path, {{std::string(100'000'000, 'a'), x}}),
      "[save_tensors] names, shapes and metadata must take at most 100000000 bytes, got 100000056");
  CHECK_THROWS_AS(save_tensors(path, {{"a", Tensor()}}), ArgumentError);
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("files that are not there", "[safetensors]") {
  CHECK_THROWS_AS(load_tensors("/nowhere/a.safetensors"), IoError);
  CHECK_THROWS_AS(save_tensors("/nowhere/a.safetensors", {}), IoError);
}

TEST_CASE("headers that are read in more than one way are rejected", "[safetensors]") {
  const std::string a = R"("dtype":"U8","shape":[1],"data_offsets":[0,1])";
  check_rejected(file_with(R"({"a":{)" + a + R"(,"shape":[1]}})", 1),
                 R"(its header must have each key once, got "shape" twice)");
  check_rejected(file_with(R"({"__metadata__":{"k":"1","k":"2"}})"),
                 R"(its header must have each key once, got "k" twice)");
  check_rejected(
      file_with(R"({"a":{)" + a + R"(,"order":"C"}})", 1),
      "'a' must have dtype, shape and data_offsets, and nothing else, got {" + a + R"(,"order":"C"})");
  check_rejected(file_with("\xef\xbb\xbf{}"), "its header must not begin with a byte order mark");
  std::string large = file_with("{}", 100'000'000);
  large[0] = 1, large[1] = '\xe1', large[2] = '\xf5', large[3] = 5;
  check_rejected(large, "its header must have at most 100000000 bytes, got 100000001");
}

TEST_CASE("names from a file are printable in errors", "[safetensors]") {
  check_rejected(file_with(R"({"\u001b[2J\n":1})"),
                 R"('\x1b[2J\n' must have dtype, shape and data_offsets, and nothing else, got 1)");
}

TEST_CASE("a header of many entries is read and written in linear time", "[safetensors]") {
  const TemporaryFolder folder;
  const Tensor x = Tensor::zeros({1}, DType::u8);
  const auto cpu_time = [&](std::size_t count) {
    std::vector<Named<Tensor>> tensors;
    for (std::size_t i = 0; i < count; ++i) tensors.emplace_back("w" + std::to_string(i), x);
    const std::clock_t start = std::clock();
    save_tensors(folder / "many", tensors);
    CHECK(load_tensors(folder / "many").tensors.size() == count);
    return static_cast<double>(std::clock() - start);
  };
  // ten times as many take ten times as long; with a search for each name, a hundred times
  CHECK(cpu_time(50'000) < 30 * cpu_time(5'000));
}
