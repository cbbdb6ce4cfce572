#include <retrace/core/fail.h>
#include <retrace/core/file.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace retrace {

namespace {

namespace fs = std::filesystem;

constexpr mode_t kFileMode = 0666;  // less the umask
constexpr std::size_t kReadBytes = std::size_t{1} << 16;

std::string reason() { return std::generic_category().message(errno); }

/// Calls a system function again as long as a signal interrupts it.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// An open file that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool open() const { return fd_ >= 0; }
  int get() const { return fd_; }
  /// A full disk may show itself only here. A second call does nothing.
  bool close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

[[noreturn]] void fail_to_write(const fs::path& path, std::string_view what) {
  const std::string why = reason();  // before anything else touches errno
  fail<IoError>("write_file", "{} must be written, but {} failed: {}", path.string(), what, why);
}

[[noreturn]] void fail_to_read(const fs::path& path, std::string_view what) {
  const std::string why = reason();
  fail<IoError>("read_file", "{} must be read, but {} it failed: {}", path.string(), what, why);
}

/// The file beside `path` that takes its place when it is complete.
class Temporary final : public FileWriter {
 public:
  explicit Temporary(const fs::path& path)
      : path_(path), temporary_(path.string() + ".tmp"), file_(create()) {
    if (!file_.open()) fail_to_write(path_, "creating " + temporary_.string());
  }
  ~Temporary() override {
    if (!renamed_ && file_created_) ::unlink(temporary_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  using FileWriter::write;
  void write(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = uninterrupted([&] { return ::write(file_.get(), bytes.data(), bytes.size()); });
      if (written < 0) fail_to_write(path_, "writing " + temporary_.string());
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  void take_place() {
    if (uninterrupted([&] { return ::fsync(file_.get()); }) != 0 || !file_.close())
      fail_to_write(path_, "writing " + temporary_.string());
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
      fail_to_write(path_, "renaming " + temporary_.string());
    renamed_ = true;
    sync_folder();
  }

 private:
  int create() {
    ::unlink(temporary_.c_str());  // of a process that was killed
    const int fd = uninterrupted(
        [&] { return ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode); });
    file_created_ = fd >= 0;
    return fd;
  }

  /// The new name is safe only when the folder that holds it is on the disk.
  void sync_folder() const {
    const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
    const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened.open()) {
      if (errno == EACCES) return;  // a folder that may be written but not read
      fail_to_write(path_, "opening " + folder.string());
    }
    if (uninterrupted([&] { return ::fsync(opened.get()); }) != 0 &&
        errno != EINVAL)  // some file systems have none
      fail_to_write(path_, "syncing " + folder.string());
  }

  fs::path path_;
  fs::path temporary_;
  bool file_created_ = false;
  bool renamed_ = false;
  Descriptor file_;
};

}  // namespace

void write_file_atomically(const fs::path& path, const std::function<void(FileWriter&)>& produce) {
  Temporary file(path);
  produce(file);
  file.take_place();
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  write_file_atomically(path, [&](FileWriter& file) { file.write(content); });
}

std::string read_file(const fs::path& path) {
  // without waiting: opening a FIFO that nobody writes would never return
  const Descriptor file(
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
  if (!file.open()) fail_to_read(path, "opening");
  struct stat about {};
  if (::fstat(file.get(), &about) != 0) fail_to_read(path, "opening");
  if (!S_ISREG(about.st_mode)) fail<IoError>("read_file", "{} must be a regular file", path.string());

  std::string content;
  content.reserve(static_cast<std::size_t>(about.st_size));
  std::array<char, kReadBytes> piece{};
  for (;;) {
    const ssize_t got = uninterrupted([&] { return ::read(file.get(), piece.data(), piece.size()); });
    if (got < 0) fail_to_read(path, "reading");
    if (got == 0) return content;
    content.append(piece.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace retrace
