#pragma once
#include <retrace/core/device.h>
#include <retrace/core/dtype.h>
#include <retrace/core/scope.h>
#include <retrace/core/shape.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace retrace {

/// What a byte is for. Fixed when it is allocated, but for a gradient that becomes a parameter's.
enum class Tag : std::uint8_t {
  parameter,           ///< weights
  buffer,              ///< running statistics
  parameter_gradient,  ///< gradients of weights
  optimizer,           ///< momenta
  activation,          ///< results of the forward pass
  saved,               ///< made only for the way back: masks, indices, batch statistics
  gradient,            ///< gradients of activations
  workspace,           ///< scratch space of a kernel
  data                 ///< images and labels
};
inline constexpr int kTagCount = 9;  ///< how many tags there are
/// `parameter`, `parameter_gradient`, ...: the tag as it is written in the list above.
std::string_view name_of(Tag tag);

/// A set of tags, as in `Tag::activation | Tag::saved`.
class TagSet {
 public:
  /// The set of one tag.
  constexpr TagSet(Tag tag) : bits_(1U << static_cast<unsigned>(tag)) {}   // NOLINT: implicit by intent
  static constexpr TagSet all() { return TagSet((1U << kTagCount) - 1); }  ///< every tag
  /// Whether `tag` is one of them.
  constexpr bool contains(Tag tag) const { return (bits_ >> static_cast<unsigned>(tag) & 1U) != 0; }
  constexpr TagSet operator|(TagSet other) const { return TagSet(bits_ | other.bits_); }   ///< either set's
  constexpr TagSet operator-(TagSet other) const { return TagSet(bits_ & ~other.bits_); }  ///< but other's

 private:
  explicit constexpr TagSet(unsigned bits) : bits_(bits) {}
  unsigned bits_;
};
constexpr TagSet operator|(Tag a, Tag b) { return TagSet(a) | TagSet(b); }  ///< the set of both

/// What "activation bytes of a training step" means everywhere in retrace: see docs/design/memory.md.
inline constexpr TagSet kStepTags = Tag::activation | Tag::saved | Tag::gradient | Tag::workspace;

/// One allocation that is (or was) alive: how many bytes, what for, where in the network and by which
/// operation, and the tensor that it was made for.
struct AllocationRecord {
  std::int64_t bytes = 0;            ///< of the block, rounded
  Tag tag = Tag::activation;         ///< what for
  const ScopeNode* scope = nullptr;  ///< where in the network (see path_of); null outside of any scope
  std::string_view op{};             ///< by which operation; empty outside of any
  std::uint64_t serial = 0;          ///< allocations of a ledger are numbered from 1, in their order
  Shape shape{};                     ///< of the tensor
  DType dtype = DType::u8;           ///< of its elements
};

/// A table with a row for each of the largest groups of records of the same place, operation and tag.
std::string table_of(const std::vector<AllocationRecord>& records, std::size_t most_rows = 12);

class Counter;

/// Exact account of the bytes that tensors hold on one device. Thread-safe. Bytes are those of the
/// allocator's blocks, rounded up to kBlockAlignment; cached blocks that nobody holds are counted apart.
class Ledger {
 public:
  Ledger();
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  std::int64_t live(TagSet tags = TagSet::all()) const;  ///< bytes that are allocated now
  /// Bytes ever allocated, under the tag that they had then.
  std::int64_t total(TagSet tags = TagSet::all()) const;
  /// Bytes that the allocator got from the system and no tensor uses: freed blocks, kept for later, and what
  /// size classes add to small blocks.
  std::int64_t cached() const;
  /// What of those tags is allocated now.
  std::vector<AllocationRecord> alive(TagSet tags = TagSet::all()) const;

  /// Live and cached bytes beyond which an allocation throws OutOfMemoryError; 0 for no limit.
  void set_budget(std::int64_t bytes);
  std::int64_t budget() const;  ///< the limit; 0 for none

  /// For the allocator alone: returns the record's serial.
  std::uint64_t add(AllocationRecord record);
  void remove(std::uint64_t serial);                       ///< for the allocator alone: the block was freed
  void set_tag(std::uint64_t serial, Tag tag);             ///< for Storage alone: another column
  void set_op(std::uint64_t serial, std::string_view op);  ///< for Storage alone: who made the bytes
  /// For the allocator alone: so many more bytes are in its cache, fewer where negative.
  void add_cached(std::int64_t bytes);

 private:
  friend class Counter;
  struct State;
  std::unique_ptr<State> state_;
};

/// The ledger of a device.
Ledger& ledger(Device device = Device::cpu());

/// Counts the bytes of some tags on one device while it exists. Counters nest freely.
class Counter {
 public:
  /// `remember` keeps what is needed to list what was alive at the peak.
  explicit Counter(TagSet tags = TagSet::all(), bool remember = false, Device device = Device::cpu());
  ~Counter();
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  /// Bytes of those tags that are alive, the ones from before this counter included.
  std::int64_t live() const;
  /// The most that were alive at once since this counter was made.
  std::int64_t peak() const;
  /// Bytes allocated since this counter was made.
  std::int64_t total() const;
  /// What was alive at the (first) peak, largest first. Throws ArgumentError unless made with `remember`.
  std::vector<AllocationRecord> alive_at_peak() const;

  /// An allocation (`alive`) or its end; the ones from before this counter come first, at 0 seconds. A change
  /// of tag is an end and an allocation with the same serial.
  struct Event {
    AllocationRecord record;  ///< what was allocated or freed
    bool alive;               ///< true for an allocation
    double seconds;           ///< since the counter was made
  };
  /// All that happened. Throws ArgumentError unless made with `remember`.
  std::vector<Event> events() const;

  /// A place in what happens: how many events came before it.
  struct Moment {
    double seconds = 0;      ///< since the counter was made
    std::size_t events = 0;  ///< that came before
  };
  Moment now() const;  ///< this moment

 private:
  friend class Ledger;
  void on_change(const AllocationRecord& record, bool alive, bool moved);
  void on_named(std::uint64_t serial, std::string_view op);
  double seconds() const;
  void check_remembers() const;

  Ledger& ledger_;
  TagSet tags_;
  bool remember_;
  std::int64_t live_ = 0;
  std::int64_t peak_ = 0;
  std::int64_t total_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::vector<Event> events_;
  std::unordered_map<std::uint64_t, std::size_t> event_of_;  // by serial: where in events_ its life begins
  std::size_t events_at_peak_ = 0;
};

/// `512 B`, `1.5 KiB`, `85.6 MiB`.
std::string format_bytes(std::int64_t bytes);

}  // namespace retrace
