#include <retrace/core/fail.h>
#include <retrace/core/storage.h>

#include <atomic>
#include <utility>

namespace retrace {

namespace {
std::uint64_t next_content() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}
}  // namespace

Storage::Storage(const Shape& shape, DType dtype, Tag tag, Device device)
    : shape_(shape),
      dtype_(dtype),
      device_(device),
      tag_(tag),
      bytes_(shape.numel() * static_cast<std::int64_t>(size_of(dtype))),
      content_(next_content()),
      writer_(current_op()) {
  block_ = allocator(device_).allocate(bytes_, tag_, shape_, dtype_);
}

Storage::~Storage() {
  if (!released()) allocator(device_).deallocate(block_);
}

const std::byte* Storage::data() const {
  if (!released()) return block_.data;
  const std::string outlook =
      lost_because_.empty()
          ? "they come back during backward, or set keep_input (for inverse, keep_input_inverse) to keep them"
          : "they will not come back, because " + lost_because_;
  fail<ReleasedError>("storage", "a tensor that is read must hold its bytes, but {} released them; {}",
                      released_by_, outlook);
}

std::byte* Storage::mutable_data() {
  auto* bytes = const_cast<std::byte*>(data());
  content_ = next_content();
  writer_ = current_op();
  return bytes;
}

void Storage::set_tag(Tag tag) {
  tag_ = tag;
  if (!released()) allocator(device_).ledger().set_tag(block_.serial, tag);
}

void Storage::set_op(std::string_view op) {
  writer_ = op;
  if (!released()) allocator(device_).ledger().set_op(block_.serial, op);
}

void Storage::release(std::string by) {
  if (released()) return;
  released_by_ = std::move(by);
  lost_because_.clear();
  allocator(device_).deallocate(std::exchange(block_, Block{}));
}

void Storage::restore_from(Storage& source) {
  if (!released() || source.released() || source.bytes_ != bytes_ || !(source.device_ == device_))
    fail<ArgumentError>("storage", "released storage of {} bytes must be restored from as many, got {}",
                        bytes_, source.bytes_);
  block_ = std::exchange(source.block_, Block{});
  source.released_by_ = "the storage that took them over";
  if (source.tag_ != tag_) allocator(device_).ledger().set_tag(block_.serial, tag_);
}

void Storage::restore() {
  if (released()) block_ = allocator(device_).allocate(bytes_, tag_, shape_, dtype_);
}

void Storage::give_up(std::string_view why) {
  if (released() && lost_because_.empty()) lost_because_ = why;
}

}  // namespace retrace
