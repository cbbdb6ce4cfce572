#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace retrace {

/// Takes the bytes of a file that is being written, piece by piece.
class FileWriter {
 public:
  virtual ~FileWriter() = default;

  /// Throws IoError, for example when the disk is full.
  virtual void write(std::span<const std::byte> bytes) = 0;
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }  ///< the same for text
};

/// Replaces the file `path` as a whole or not at all: whoever opens it, after a crash or a power failure too,
/// finds the old content or the new one, never a part. `produce` writes into `path`.tmp, which is brought to
/// the disk and then renamed. When anything fails, exceptions of `produce` included, that file is removed and
/// `path` is as it was. What a killed process leaves behind as `path`.tmp is overwritten next time; a path
/// has one writer at a time. The new file has the old one's permissions. A symbolic link is followed, and the
/// file that it leads to is replaced. A device, a pipe or an open descriptor (/dev/null, a FIFO, /dev/stdout)
/// is never replaced: the bytes are written into it as they come. Throws IoError, with the path and the
/// system's reason.
void write_file_atomically(const std::filesystem::path& path,
                           const std::function<void(FileWriter&)>& produce);
/// The same with content that is there already.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// The bytes of the regular file `path`. Throws IoError, with the path and the system's reason; a directory,
/// a FIFO or a device is no file.
std::string read_file(const std::filesystem::path& path);

}  // namespace retrace
