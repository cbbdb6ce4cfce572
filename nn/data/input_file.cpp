#include <zlib.h>

#include <retrace/core/fail.h>
#include <retrace/core/saturated.h>
#include <retrace/nn/data/input_file.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <vector>

namespace retrace::detail {

namespace fs = std::filesystem;

namespace {
constexpr std::size_t kChunk = std::size_t{1} << 16;
constexpr std::int64_t kMaxRatio = 1032;  // of deflate: 258 bytes in 2 bits
constexpr int kGzipWindow = 15 + 16;      // the largest window, and a gzip header instead of a zlib one
}  // namespace

void check_folder(std::string_view op, const fs::path& folder, std::string_view hint) {
  if (folder.empty()) fail<ArgumentError>(op, "the folder of the data must be given ({})", hint);
  std::error_code error;
  if (!fs::is_directory(folder, error))
    fail<IoError>(op, "the folder {} must exist ({})", folder.string(), hint);
}

std::int64_t file_bytes(std::string_view op, const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) fail<IoError>(op, "{} must exist", path.string());
  if (!fs::is_regular_file(path, error)) fail<IoError>(op, "{} must be a file", path.string());
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error) fail<IoError>(op, "{} must be readable", path.string());
  return static_cast<std::int64_t>(bytes);
}

struct InputFile::Inflater {
  z_stream stream{};
  std::vector<std::uint8_t> input = std::vector<std::uint8_t>(kChunk);
  bool between_members = true;  // nothing is missing when the file ends here

  Inflater() {
    if (inflateInit2(&stream, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

InputFile::InputFile(std::string_view op, const fs::path& path)
    : op_(op), name_(path.string()), max_bytes_(file_bytes(op, path)) {
  file_.open(path, std::ios::binary);
  if (!file_) fail<IoError>(op, "{} must be readable", name_);
  if (path.extension() != ".gz") return;
  inflater_ = std::make_unique<Inflater>();
  max_bytes_ = (Saturated(kMaxRatio) * max_bytes_).value();
}

InputFile::~InputFile() = default;

std::size_t InputFile::read(std::span<std::uint8_t> out) {
  return inflater_ ? inflate(out) : read_plain(out);
}

std::int64_t InputFile::count_rest(std::int64_t limit) {
  std::vector<std::uint8_t> ignored(kChunk);
  std::int64_t count = 0;
  while (count < limit) {
    const std::size_t wanted = std::min(kChunk, static_cast<std::size_t>(limit - count));
    const std::size_t bytes = read(std::span(ignored).first(wanted));
    if (bytes == 0) break;
    count += static_cast<std::int64_t>(bytes);
  }
  return count;
}

std::size_t InputFile::read_plain(std::span<std::uint8_t> out) {
  file_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
  if (file_.bad()) fail<IoError>(op_, "{} must be readable to its end", name_);
  return static_cast<std::size_t>(file_.gcount());
}

/// A gzip file is a row of members, nearly always one (RFC 1952). Each member's checksum is verified by zlib.
std::size_t InputFile::inflate(std::span<std::uint8_t> out) {
  z_stream& stream = inflater_->stream;
  std::size_t done = 0;
  while (done < out.size()) {
    if (stream.avail_in == 0) {
      stream.next_in = inflater_->input.data();
      stream.avail_in = static_cast<uInt>(read_plain(inflater_->input));
      if (stream.avail_in == 0 && inflater_->between_members) break;
      if (stream.avail_in == 0)
        fail<FormatError>(op_, "{} must be a whole gzip file, got one that is cut off", name_);
    }
    const std::size_t room = std::min(out.size() - done, std::size_t{1} << 30);
    stream.next_out = out.data() + done;
    stream.avail_out = static_cast<uInt>(room);
    const int status = ::inflate(&stream, Z_NO_FLUSH);
    done += room - stream.avail_out;
    inflater_->between_members = status == Z_STREAM_END;
    if (status == Z_STREAM_END)
      inflateReset(&stream);
    else if (status != Z_OK)
      fail<FormatError>(op_, "{} must be a gzip file, got a corrupt one: {}", name_,
                        stream.msg != nullptr ? stream.msg : "no progress");
  }
  return done;
}

}  // namespace retrace::detail
