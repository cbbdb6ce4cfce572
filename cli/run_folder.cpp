#include <retrace/cli/run_folder.h>
#include <retrace/core/fail.h>
#include <retrace/core/file.h>
#include <retrace/nn/json.h>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace retrace::cli {

namespace {

namespace fs = std::filesystem;
using retrace::detail::Json;

constexpr std::string_view kPrefix = "checkpoint-";
constexpr std::string_view kSuffix = ".safetensors";
constexpr mode_t kFileMode = 0666;  // less the umask

std::string text_of(const LogLine& line) {
  Json json = {{"step", line.step},
               {"loss", line.loss},
               {"accuracy", line.accuracy},
               {"lr", line.lr},
               {"after_forward_bytes", line.after_forward_bytes},
               {"peak_bytes", line.peak_bytes}};
  if (line.scale) json["loss_scale"] = *line.scale;
  if (line.test) {
    json["test_loss"] = line.test->loss;
    json["test_accuracy"] = line.test->accuracy;
  }
  return json.dump() + "\n";
}

/// The step of a whole line, or none.
std::optional<std::int64_t> step_of(std::string_view line) {
  try {
    const Json json = retrace::detail::parse_json(line, /*max_depth=*/1);
    if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) return std::nullopt;
    return json["step"].get<std::int64_t>();
  } catch (const FormatError&) {
    return std::nullopt;
  }
}

/// Whole lines of a log, and how many.
struct Lines {
  std::string text{};
  std::int64_t count = 0;
};

/// The whole lines of steps up to `last`, whose steps rise.
Lines lines_until(const std::string& log, std::int64_t last) {
  std::size_t begin = 0;
  std::int64_t before = 0;
  std::int64_t count = 0;
  for (;; ++count) {
    const std::size_t end = log.find('\n', begin);
    if (end == std::string::npos) break;
    const auto step = step_of(std::string_view(log).substr(begin, end - begin));
    if (!step || *step <= before || *step > last) break;
    before = *step;
    begin = end + 1;
  }
  return {.text = log.substr(0, begin), .count = count};
}

std::optional<std::int64_t> step_in_name(const std::string& name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix) ||
      name.size() <= kPrefix.size() + kSuffix.size())
    return std::nullopt;
  const std::string digits = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  constexpr std::size_t kMostDigits = 18;
  if (digits.size() > kMostDigits || digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoll(digits);
}

fs::path created(fs::path folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    fail<IoError>("train", "the folder {} must be there or creatable, got: {}", folder.string(),
                  error.message());
  return folder;
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder)
    : fd_(::open((folder / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode)) {
  if (fd_ < 0)
    fail<IoError>("train", "the folder {} must be writable, but making its lock failed: {}", folder.string(),
                  std::generic_category().message(errno));
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
    return;  // some file systems have no locks
  ::close(fd_);
  fail<IoError>("train", "another run is writing into {}; wait until it ends, or give another folder",
                folder.string());
}

FolderLock::~FolderLock() { ::close(fd_); }

RunFolder::RunFolder(fs::path folder) : folder_(created(std::move(folder))), lock_(folder_) {}

RunFolder::~RunFolder() { close_log(); }

bool RunFolder::used() const {
  std::error_code error;
  return fs::exists(log_path(), error) || finished() || !checkpoints().empty();
}

bool RunFolder::finished() const {
  std::error_code error;
  return fs::exists(model_path(), error);
}

void RunFolder::clear() const {
  std::vector<fs::path> files = {log_path(), model_path()};
  for (const Checkpoint& checkpoint : checkpoints()) files.push_back(checkpoint.path);
  for (const fs::path& file : files) {
    std::error_code error;
    fs::remove(file, error);
    if (error) fail<IoError>("train", "{} must be removable, got: {}", file.string(), error.message());
  }
}

std::int64_t RunFolder::open_log(std::int64_t step) {
  close_log();
  std::error_code error;
  const std::string before = fs::exists(log_path(), error) ? read_file(log_path()) : std::string();
  const Lines kept = lines_until(before, step);
  write_file_atomically(log_path(), kept.text);
  log_ = ::open(log_path().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC, kFileMode);
  if (log_ < 0) fail_to_log("opening");
  return kept.count;
}

void RunFolder::append(const LogLine& line) {
  const std::string text = text_of(line);
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(log_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_to_log("writing");
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

void RunFolder::sync_log() {
  if (::fsync(log_) != 0 && errno != EINVAL) fail_to_log("syncing");
}

std::vector<RunFolder::Checkpoint> RunFolder::checkpoints() const {
  std::vector<Checkpoint> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error))
    if (const auto step = step_in_name(entry.path().filename().string()))
      found.push_back({.step = *step, .path = entry.path()});
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
  return found;
}

fs::path RunFolder::checkpoint_path(std::int64_t step) const {
  return folder_ / fmt::format("{}{:06}{}", kPrefix, step, kSuffix);
}

void RunFolder::keep_newest(std::size_t count) const {
  const std::vector<Checkpoint> all = checkpoints();
  std::error_code error;  // what cannot be removed stays
  for (std::size_t i = count; i < all.size(); ++i) fs::remove(all[i].path, error);
}

void RunFolder::close_log() {
  if (log_ >= 0) ::close(std::exchange(log_, -1));
}

void RunFolder::fail_to_log(std::string_view what) const {
  const std::string why = std::generic_category().message(errno);
  fail<IoError>("train", "{} must be written, but {} it failed: {}", log_path().string(), what, why);
}

}  // namespace retrace::cli
