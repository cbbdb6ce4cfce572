#pragma once
// What the fuzzers of file formats share. Each defines LLVMFuzzerTestOneInput, which libFuzzer calls with one
// input after another. An input may be rejected with an Error; anything else that is thrown, read or
// overflows is a finding.
#include <retrace/core/error.h>
#include <retrace/core/printable.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

namespace retrace::fuzz {

/// A folder in memory where there is one: a fuzzer writes thousands of files a second.
inline const std::filesystem::path& scratch_folder() {
  static const auto& folder = *new std::filesystem::path([] {
    const bool in_memory = std::filesystem::is_directory("/dev/shm");
    const std::filesystem::path base = in_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::filesystem::path path = base / ("retrace-fuzz-" + std::to_string(::getpid()));
    std::filesystem::create_directories(path);
    std::atexit([] { std::filesystem::remove_all(scratch_folder()); });
    return path;
  }());
  return folder;
}

/// Writes the input as the file of that name and returns its path.
inline std::filesystem::path write(std::string_view name, std::span<const std::uint8_t> input) {
  const std::filesystem::path path = scratch_folder() / name;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
  return path;
}

/// Runs `read`; the text of an Error must be one that a terminal may print.
template <class Read>
void expect_result_or_error(const Read& read) {
  try {
    read();
  } catch (const Error& error) {
    if (printable(error.what()) != error.what()) std::abort();
  }
}

}  // namespace retrace::fuzz
