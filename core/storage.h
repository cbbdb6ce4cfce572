#pragma once
#include <retrace/core/allocator.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace retrace {

/// Bytes that tensors share. They can be released and later restored, and they know whether they were
/// written.
class Storage {
 public:
  /// Uninitialised bytes, for a tensor of that shape. Throws OutOfMemoryError.
  Storage(const Shape& shape, DType dtype, Tag tag, Device device = Device::cpu());
  /// The same, for no tensor.
  Storage(std::int64_t bytes, Tag tag, Device device = Device::cpu())
      : Storage(Shape{bytes}, DType::u8, tag, device) {}
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  /// The bytes, to read. Throws ReleasedError.
  const std::byte* data() const;
  /// The bytes, to write: from now on the content is another one. Throws ReleasedError.
  std::byte* mutable_data();

  std::int64_t bytes() const { return bytes_; }  ///< its size; not rounded as the allocator's block is
  Device device() const { return device_; }      ///< where the bytes are
  Tag tag() const { return tag_; }               ///< what they are for
  /// Moves the bytes to another column of the ledger.
  void set_tag(Tag tag);
  /// Names the operation that made the bytes, for the ledger.
  void set_op(std::string_view op);

  /// Of the bytes' record in the ledger; 0 while they are released.
  std::uint64_t serial() const { return block_.serial; }

  /// Gives the bytes back to the allocator. `by` is who did it and stands in the error of whoever reads them.
  void release(std::string by);
  bool released() const { return block_.data == nullptr; }  ///< whether they are given back
  /// Takes over the bytes of `source`, which is left released, or allocates uninitialised ones.
  void restore_from(Storage& source);
  /// Allocates uninitialised bytes again.
  void restore();
  /// The bytes will not come back: the ReleasedError says why. The first reason stays.
  void give_up(std::string_view why);

  /// Changes with every write; equal numbers mean equal content. Unique across all storages.
  std::uint64_t content() const { return content_; }
  /// For a rewind that has put the old content back (up to rounding).
  void set_content(std::uint64_t content) { content_ = content; }
  /// The operation that wrote last.
  std::string_view writer() const { return writer_; }

  /// A part of these bytes is (or was) a tensor of its own.
  bool sliced() const { return sliced_; }
  void mark_sliced() { sliced_ = true; }  ///< from now on, `sliced`

 private:
  Shape shape_;
  DType dtype_;
  Device device_;
  Tag tag_;
  bool sliced_ = false;
  std::int64_t bytes_;
  Block block_{};
  std::uint64_t content_;
  std::string_view writer_;
  std::string released_by_;
  std::string lost_because_;
};

}  // namespace retrace
