#pragma once
// Internal: not installed.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace retrace::detail {

/// Throws ArgumentError when no folder was given and IoError when it does not exist, in the name of `op`.
void check_folder(std::string_view op, const std::filesystem::path& folder, std::string_view hint);

/// The size of a plain file. Throws IoError when there is none that can be read.
std::int64_t file_bytes(std::string_view op, const std::filesystem::path& path);

/// The bytes of a file, inflated when its name ends in `.gz`.
class InputFile {
 public:
  /// Throws IoError, in the name of `op`, unless the file can be read.
  InputFile(std::string_view op, const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// The file's path, for messages.
  const std::string& name() const { return name_; }
  /// Fills `out` and returns its size, or less at the end. Throws IoError, and FormatError for a corrupt
  /// gzip.
  std::size_t read(std::span<std::uint8_t> out);
  /// Reads on, for at most `limit` bytes, and returns the number of bytes that were left.
  std::int64_t count_rest(std::int64_t limit);
  /// The most bytes that the file can hold: a deflated one at most 1032 times its size.
  std::int64_t max_bytes() const { return max_bytes_; }

 private:
  struct Inflater;

  std::size_t read_plain(std::span<std::uint8_t> out);
  std::size_t inflate(std::span<std::uint8_t> out);

  std::string op_;
  std::string name_;
  std::int64_t max_bytes_;
  std::ifstream file_;
  std::unique_ptr<Inflater> inflater_;  // null for a plain file
};

}  // namespace retrace::detail
