#include <retrace/core/error.h>
#include <retrace/core/file.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "../support/catch.h"
#include "../support/temporary_folder.h"

using namespace retrace;
using retrace::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

/// While it exists, a file of this process may not grow beyond some bytes: a disk that is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : previous_signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = previous_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, previous_signal_);
  }

 private:
  rlimit previous_{};
  void (*previous_signal_)(int);
};

/// While it exists, the process has no rights beyond those of a common user.
class CommonUser {
 public:
  CommonUser() : was_root_(::geteuid() == 0) {
    if (was_root_) REQUIRE(::seteuid(65534) == 0);
  }
  ~CommonUser() {
    if (was_root_) static_cast<void>(::seteuid(0) + 0);
  }

 private:
  bool was_root_;
};

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a file is written and read back", "[file]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "weights.bin";
  std::string content(200'000, 'x');
  content[7] = '\0';
  content[100'000] = '\n';

  write_file_atomically(path, content);
  CHECK(read_file(path) == content);

  write_file_atomically(path, [](FileWriter& file) {
    file.write("ab");
    file.write("");
    file.write("c");
  });
  CHECK(read_file(path) == "abc");

  write_file_atomically(path, "");
  CHECK(read_file(path).empty());
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("a file name without a folder is one in the working folder", "[file]") {
  const TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_file_atomically("here.txt", "abc");
  fs::current_path(before);
  CHECK(read_file(folder / "here.txt") == "abc");
}

TEST_CASE("readers of a file that is replaced see the old one whole", "[file]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "log";
  write_file_atomically(path, "old");
  write_file_atomically(path, [&](FileWriter& file) {
    file.write("ne");
    CHECK(read_file(path) == "old");
    file.write("w");
    CHECK(read_file(path) == "old");
  });
  CHECK(read_file(path) == "new");
}

TEST_CASE("what a killed process left behind does not disturb the next one", "[file]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "weights.bin";
  write_file_atomically(folder / "weights.bin.tmp", "a much longer text that was never finished");
  ::chmod((folder / "weights.bin.tmp").c_str(), 0);
  write_file_atomically(path, "short");
  CHECK(read_file(path) == "short");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("what is not a file left by a killed process is kept", "[file]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "weights.bin";
  fs::create_symlink("elsewhere", folder / "weights.bin.tmp");
  CHECK_THROWS_WITH(write_file_atomically(path, "abc"), "[write_file] " + path.string() +
                                                            " must be written, but creating " +
                                                            path.string() + ".tmp failed: File exists");
  CHECK(fs::is_symlink(folder / "weights.bin.tmp"));
}

TEST_CASE("a new file has the permissions of the one that it replaces", "[file]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "secret";
  write_file_atomically(path, "old");
  ::chmod(path.c_str(), 0600);
  write_file_atomically(path, "new");
  CHECK(read_file(path) == "new");
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("a symbolic link stays, and what it leads to is written", "[file]") {
  const TemporaryFolder folder;
  const fs::path link = folder / "link";
  fs::create_directory(folder / "below");

  SECTION("a file, through two links") {
    write_file_atomically(folder / "below/file", "old");
    fs::create_symlink("file", folder / "below/link");
    fs::create_symlink("below/link", link);
    write_file_atomically(link, [&](FileWriter& file) {
      file.write("new");
      CHECK(read_file(link) == "old");
    });
    CHECK(fs::is_symlink(folder / "below/link"));
    CHECK(read_file(folder / "below/file") == "new");
    CHECK(files_in(folder / "below") == 2);
  }
  SECTION("a file that is not there yet") {
    fs::create_symlink("below/file", link);
    write_file_atomically(link, "new");
    CHECK(read_file(folder / "below/file") == "new");
  }
  SECTION("a device") {
    fs::create_symlink("/dev/null", link);
    write_file_atomically(link, "new");
    CHECK(fs::is_character_file(link));
  }
  SECTION("itself") {
    fs::create_symlink("link", link);
    CHECK_THROWS_WITH(
        write_file_atomically(link, "new"),
        "[write_file] " + link.string() +
            " must be written, but following the link failed: Too many levels of symbolic links");
  }
  CHECK(fs::is_symlink(link));
  CHECK_FALSE(fs::exists(folder / "link.tmp"));
}

TEST_CASE("a pipe with a name is written into", "[file]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(reader >= 0);
  write_file_atomically(path, "abc");
  char bytes[8] = {};
  CHECK(::read(reader, bytes, sizeof bytes) == 3);
  CHECK(std::string(bytes) == "abc");
  CHECK(fs::is_fifo(path));
  CHECK(files_in(folder.path()) == 1);
  ::close(reader);
}

TEST_CASE("an open descriptor goes on where it is", "[file]") {
  const TemporaryFolder folder;
  const int fd = ::open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(fd >= 0);
  REQUIRE(::write(fd, "before ", 7) == 7);
  fs::create_symlink("/proc/self/fd/" + std::to_string(fd), folder / "link");  // as /dev/stdout is one
  write_file_atomically(folder / "link", "between ");
  REQUIRE(::write(fd, "after", 5) == 5);
  ::close(fd);
  CHECK(read_file(folder / "out") == "before between after");
  CHECK_THROWS_AS(write_file_atomically(folder / "link", "closed"), IoError);
}

TEST_CASE("a file that cannot be finished leaves the old one", "[file]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "weights.bin";
  write_file_atomically(path, "old");

  SECTION("the disk is full") {
    const std::string text = "[write_file] " + path.string() + " must be written, but writing " +
                             path.string() + ".tmp failed: File too large";
    const std::string content(100'000, 'x');
    const FileSizeLimit limit(65'536);
    CHECK_THROWS_AS(write_file_atomically(path, content), IoError);
    CHECK_THROWS_WITH(write_file_atomically(path, content), text);
  }
  SECTION("whoever produces the content fails") {
    CHECK_THROWS_AS(write_file_atomically(path,
                                          [](FileWriter& file) {
                                            file.write("half");
                                            throw std::domain_error("no more");
                                          }),
                    std::domain_error);
  }
  CHECK(read_file(path) == "old");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("paths that cannot be written are named with the reason", "[file]") {
  const TemporaryFolder folder;
  const auto text = [](const fs::path& path, std::string_view step, std::string_view reason) {
    return "[write_file] " + path.string() + " must be written, but " + std::string(step) + path.string() +
           ".tmp failed: " + std::string(reason);
  };

  SECTION("a missing folder") {
    const fs::path path = folder / "missing/weights.bin";
    CHECK_THROWS_AS(write_file_atomically(path, "abc"), IoError);
    CHECK_THROWS_WITH(write_file_atomically(path, "abc"),
                      text(path, "creating ", "No such file or directory"));
  }
  SECTION("a device that is not there") {
    const fs::path path = folder / "socket";
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    CHECK_THROWS_WITH(write_file_atomically(path, "abc"),
                      "[write_file] " + path.string() +
                          " must be written, but opening it failed: No such device or address");
    ::close(fd);
  }
  SECTION("a file in place of the folder") {
    write_file_atomically(folder / "file", "abc");
    const fs::path path = folder / "file/weights.bin";
    CHECK_THROWS_WITH(write_file_atomically(path, "abc"), text(path, "creating ", "Not a directory"));
  }
  SECTION("a folder in place of the file") {
    const fs::path path = folder / "weights.bin";
    fs::create_directory(path);
    CHECK_THROWS_WITH(write_file_atomically(path, "abc"), text(path, "renaming ", "Is a directory"));
    CHECK(files_in(folder.path()) == 1);
  }
  SECTION("a folder that may not be written") {
    const fs::path path = folder / "weights.bin";
    ::chmod(folder.path().c_str(), 0555);
    {
      const CommonUser user;
      CHECK_THROWS_WITH(write_file_atomically(path, "abc"), text(path, "creating ", "Permission denied"));
    }
    ::chmod(folder.path().c_str(), 0755);
  }
}

TEST_CASE("files that cannot be read are named with the reason", "[file]") {
  const TemporaryFolder folder;
  const std::string missing = (folder / "missing").string();
  CHECK_THROWS_AS(read_file(missing), IoError);
  CHECK_THROWS_WITH(
      read_file(missing),
      "[read_file] " + missing + " must be read, but opening it failed: No such file or directory");
  CHECK_THROWS_WITH(read_file(folder.path()),
                    "[read_file] " + folder.path().string() + " must be a regular file");
}

TEST_CASE("only regular files are read, and none is waited for", "[file]") {
  const TemporaryFolder folder;
  const std::filesystem::path fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  for (const std::filesystem::path& path : {fifo, folder.path(), std::filesystem::path("/dev/null")}) {
    CHECK_THROWS_AS(read_file(path), IoError);
    CHECK_THROWS_WITH(read_file(path), "[read_file] " + path.string() + " must be a regular file");
  }
}
