// Any file as a gzip file: as it is, and inflated by hand in steps of other sizes. What libFuzzer changes is
// mostly the content of the first member, which is deflated again; else hardly an input would have the right
// checksum.
#include <retrace/nn/data/input_file.h>
#include <zlib.h>

#include <cstring>
#include <vector>

#include "fuzz.h"

using namespace retrace;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

constexpr std::size_t kMaxInflated = std::size_t{1} << 22;
constexpr int kGzip = 15 + 16;

std::vector<std::uint8_t> inflated(const std::filesystem::path& path, std::size_t piece) {
  detail::InputFile file("fuzz", path);
  std::vector<std::uint8_t> all;
  while (all.size() < kMaxInflated) {
    const std::size_t done = all.size();
    all.resize(done + piece);
    const std::size_t found = file.read(std::span(all).subspan(done));
    all.resize(done + found);
    if (found < piece) break;
  }
  if (static_cast<std::int64_t>(all.size()) > file.max_bytes()) std::abort();
  return all;
}

std::vector<std::uint8_t> deflated(std::span<std::uint8_t> content) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) std::abort();
  std::vector<std::uint8_t> result(deflateBound(&stream, content.size()));
  stream.next_in = content.data();
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = result.data();
  stream.avail_out = static_cast<uInt>(result.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) std::abort();
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  if (seed % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  std::vector<std::uint8_t> content;
  try {
    content = inflated(fuzz::write("old.gz", {data, size}), 4096);
  } catch (const Error&) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  const std::size_t length = content.size();
  content.resize(length + 4096);
  content.resize(LLVMFuzzerMutate(content.data(), length, content.size()));
  std::vector<std::uint8_t> file = deflated(content);
  if (seed % 4 == 1) {  // a second member
    const std::vector<std::uint8_t> more = file;
    file.insert(file.end(), more.begin(), more.end());
  }
  if (file.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, file.data(), file.size());
  return file.size();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::filesystem::path path = fuzz::write("input.gz", {data, size});
  fuzz::expect_result_or_error([&] {
    if (inflated(path, 7) != inflated(path, 65537) && inflated(path, 7).size() < kMaxInflated) std::abort();
  });
  return 0;
}
