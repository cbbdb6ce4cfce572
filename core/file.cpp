#include <retrace/core/fail.h>
#include <retrace/core/file.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
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

/// Writes into an open file.
class Output : public FileWriter {
 public:
  /// `name` is that of the open file in errors about `path`.
  Output(fs::path path, std::string name, int fd)
      : path_(std::move(path)), name_(std::move(name)), file_(fd) {}

  using FileWriter::write;
  void write(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = uninterrupted([&] { return ::write(file_.get(), bytes.data(), bytes.size()); });
      if (written < 0) fail_to_write(path_, "writing " + name_);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  void close() {
    if (!file_.close()) fail_to_write(path_, "writing " + name_);
  }

 protected:
  const fs::path& path() const { return path_; }
  const std::string& name() const { return name_; }
  int fd() const { return file_.get(); }

 private:
  fs::path path_;
  std::string name_;
  Descriptor file_;
};

/// The file next to `path` that replaces it when it is complete.
class Temporary final : public Output {
 public:
  explicit Temporary(const fs::path& path) : Output(path, path.string() + ".tmp", create(path)) {}
  ~Temporary() override {
    if (!renamed_) ::unlink(name().c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  void replace() {
    keep_mode();
    if (uninterrupted([&] { return ::fsync(fd()); }) != 0) fail_to_write(path(), "writing " + name());
    close();
    if (::rename(name().c_str(), path().c_str()) != 0) fail_to_write(path(), "renaming " + name());
    renamed_ = true;
    sync_folder();
  }

 private:
  static int create(const fs::path& path) {
    const fs::path name = path.string() + ".tmp";
    std::error_code error;
    if (fs::is_regular_file(fs::symlink_status(name, error)))
      ::unlink(name.c_str());  // of a process that was killed
    const int fd = uninterrupted(
        [&] { return ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode); });
    if (fd < 0) fail_to_write(path, "creating " + name.string());
    return fd;
  }

  /// The new file is for the eyes of those that the old one was for.
  void keep_mode() const {
    constexpr mode_t kPermissions = 0777;
    struct stat old {};
    struct stat made {};
    if (::stat(path().c_str(), &old) != 0 || !S_ISREG(old.st_mode)) return;
    const mode_t mode = old.st_mode & kPermissions;
    const bool same = ::fstat(fd(), &made) == 0 && (made.st_mode & kPermissions) == mode;
    if (!same && ::fchmod(fd(), mode) != 0) fail_to_write(path(), "setting the permissions of " + name());
  }

  /// The new name is safe only when the folder that holds it is on the disk.
  void sync_folder() const {
    const fs::path folder = path().has_parent_path() ? path().parent_path() : fs::path(".");
    const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened.open()) {
      if (errno == EACCES) return;  // a folder that may be written but not read
      fail_to_write(path(), "opening " + folder.string());
    }
    if (uninterrupted([&] { return ::fsync(opened.get()); }) != 0 &&
        errno != EINVAL)  // some file systems have none
      fail_to_write(path(), "syncing " + folder.string());
  }

  bool renamed_ = false;
};

/// The file descriptor of this process that a path such as /proc/self/fd/1 names, or none.
std::optional<int> descriptor_of(const fs::path& path) {
  std::error_code error;
  const fs::path all = fs::canonical("/proc/self/fd", error);
  if (error || fs::canonical(path.parent_path(), error) != all || error) return std::nullopt;
  const std::string number = path.filename().string();
  int fd = 0;
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), fd);
  return problem == std::errc() && end == number.data() + number.size() ? std::optional(fd) : std::nullopt;
}

/// What a path means after its symbolic links.
struct Destination {
  fs::path path;
  std::optional<int> fd;  ///< of this process, as for /dev/stdout
};

Destination destination_of(const fs::path& path) {
  constexpr int kMostLinks = 40;  // as in Linux
  Destination found{.path = path, .fd = std::nullopt};
  std::error_code error;
  for (int links = 0; fs::is_symlink(fs::symlink_status(found.path, error)); ++links) {
    found.fd = descriptor_of(found.path);
    if (found.fd) return found;
    if (links == kMostLinks) {
      errno = ELOOP;
      fail_to_write(path, "following the link");
    }
    found.path = found.path.parent_path() / fs::read_symlink(found.path, error);
  }
  return found;
}

/// Opens what must not be replaced: a device, a pipe or an open file. -1 for a regular file or a new one.
int open_in_place(const Destination& to) {
  std::error_code error;
  const fs::file_status status = fs::status(to.path, error);
  if (!to.fd && (!fs::exists(status) || fs::is_regular_file(status) || fs::is_directory(status))) return -1;
  const int fd = to.fd ? ::fcntl(*to.fd, F_DUPFD_CLOEXEC, 0)  // shares the position in the file
                       : uninterrupted([&] { return ::open(to.path.c_str(), O_WRONLY | O_CLOEXEC); });
  if (fd < 0) fail_to_write(to.path, "opening it");
  return fd;
}

}  // namespace

void write_file_atomically(const fs::path& path, const std::function<void(FileWriter&)>& produce) {
  const Destination to = destination_of(path);
  if (const int fd = open_in_place(to); fd >= 0) {
    Output file(path, "it", fd);
    produce(file);
    return file.close();
  }
  Temporary file(to.path);
  produce(file);
  file.replace();
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
