#pragma once
#include <retrace/cli/step.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace retrace::cli {

/// A line of log.jsonl: what one training step did. Everything in it is a function of the options, so that a
/// run that was killed and resumed leaves the same log as one that was not.
struct LogLine {
  std::int64_t step = 0;
  double loss = 0;
  double accuracy = 0;  ///< in [0, 1], of this step's images
  double lr = 0;
  std::int64_t after_forward_bytes = 0;
  std::int64_t peak_bytes = 0;
  std::optional<double> scale{};     ///< of the loss, where it is scaled: `loss_scale`
  std::optional<Evaluation> test{};  ///< where the network was judged: test_loss, test_accuracy
};

/// Keeps other runs out of a folder: a lock on its file `.lock`, which ends with the process whatever
/// happens.
class FolderLock {
 public:
  /// Throws IoError if another process holds it.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

/// The folder of one training run: log.jsonl, checkpoint-NNNNNN.safetensors, model.safetensors.
class RunFolder {
 public:
  /// A checkpoint of the run.
  struct Checkpoint {
    std::int64_t step = 0;
    std::filesystem::path path{};
  };

  /// Creates the folder and locks it: it belongs to this object until it ends, or its process. Throws
  /// IoError if it cannot be made, or if another run has it.
  explicit RunFolder(std::filesystem::path folder);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// A run was begun here.
  bool used() const;
  /// The final weights are here.
  bool finished() const;
  /// Removes log, checkpoints and final weights. Throws IoError.
  void clear() const;
  /// Begins the log, or goes on with it behind `step`: later lines and a torn last one are dropped. Returns
  /// how many lines it has, one per step unless it was damaged.
  std::int64_t open_log(std::int64_t step);
  /// One line, whole. Throws IoError.
  void append(const LogLine& line);
  /// Brings the log to the disk.
  void sync_log();

  /// The newest first.
  std::vector<Checkpoint> checkpoints() const;
  std::filesystem::path checkpoint_path(std::int64_t step) const;
  std::filesystem::path model_path() const { return folder_ / "model.safetensors"; }
  std::filesystem::path log_path() const { return folder_ / "log.jsonl"; }
  /// Removes all checkpoints but the newest ones.
  void keep_newest(std::size_t count) const;

 private:
  void close_log();
  [[noreturn]] void fail_to_log(std::string_view what) const;

  std::filesystem::path folder_;
  FolderLock lock_;
  int log_ = -1;
};

}  // namespace retrace::cli
