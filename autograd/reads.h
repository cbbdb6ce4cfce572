#pragma once
// Internal: which parameters and buffers the operations of a forward read.
#include <retrace/core/storage.h>

#include <cstdint>
#include <map>

namespace retrace::detail {

/// While it exists, operations on this thread note which parameters and buffers they read. Logs nest; an
/// operation is noted in all of them.
class ReadLog {
 public:
  ReadLog();
  ~ReadLog();
  ReadLog(const ReadLog&) = delete;
  ReadLog& operator=(const ReadLog&) = delete;

  /// Notes in this log and those outside of it that the storage, as it is now, is read.
  void note(const Storage& storage) {
    first_read_.try_emplace(&storage, storage.content());
    if (outer_ != nullptr) outer_->note(storage);
  }
  /// Whether an operation read this storage.
  bool has_read(const Storage* storage) const { return first_read_.contains(storage); }
  /// Whether an operation read this storage when its content was another one.
  bool read_before_write(const Storage& storage) const {
    const auto read = first_read_.find(&storage);
    return read != first_read_.end() && read->second != storage.content();
  }

 private:
  std::map<const Storage*, std::uint64_t> first_read_;  // to the content number; a storage may be gone since
  ReadLog* outer_;
};

}  // namespace retrace::detail
