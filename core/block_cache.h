#pragma once
#include <algorithm>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace retrace {

/// How long a block lives: until its step ends at most, or longer.
enum class Lifetime {
  step,   ///< its step at most: activations, gradients, scratch
  longer  ///< data, parameters, the optimizer's state
};

/// Freed memory of one device, kept to be handed out again. Small blocks are handed out for their size class
/// alone. Large ones are cut from segments, at the place that fits best, and join with their free neighbours
/// when they come back: so a step whose sizes change (the stages of a network) touches about as much memory
/// as it uses at its peak. What lives longer has segments of its own, or it would lie in a step's way.
class BlockCache {
 public:
  /// Blocks from this size on are large.
  static constexpr std::int64_t kLarge = std::int64_t{1} << 20;
  /// The bytes to get from the system for a block of `bytes`, a multiple of 64. Small blocks share size
  /// classes, eight in each doubling above 512 bytes: they take up to an eighth more, and the cache of a
  /// program whose sizes change all the time keeps a few blocks of each class, not of each size.
  static constexpr std::int64_t held_bytes(std::int64_t bytes) {
    if (bytes <= kSizesInDoubling * kUnit || bytes >= kLarge) return bytes;
    const auto below = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(bytes - 1)));
    const std::int64_t step = below / kSizesInDoubling;
    return std::min((bytes + step - 1) / step * step, kLarge - kUnit);  // the last class is a small one, too
  }
  /// What to ask the system for when a large block does not fit anywhere. Pages of it that no block ever
  /// covered take no physical memory, and blocks don't join across the ends of segments, so it is large.
  static constexpr std::int64_t kSegment = std::int64_t{1} << 30;

  /// A free block for `bytes`; null where there is none.
  std::byte* take(std::int64_t bytes, Lifetime lifetime = Lifetime::step);
  /// Memory that was taken, or that the system gave, is free. In the second case it is for blocks that live
  /// so long, if it is large.
  void put(std::byte* data, std::int64_t bytes, Lifetime lifetime = Lifetime::step);
  /// Forgets, and returns, what is free and as it came from the system: a segment of which a part is in use
  /// stays.
  std::vector<std::pair<std::byte*, std::int64_t>> remove_whole();
  /// What is free of segments of which a part is in use.
  std::vector<std::pair<std::byte*, std::int64_t>> free_parts() const;

 private:
  static constexpr std::int64_t kUnit = 64;
  static constexpr std::int64_t kSizesInDoubling = 8;

  /// A part of a segment; segments are numbered as they came.
  struct Piece {
    std::int64_t bytes;
    std::uint64_t segment;
    Lifetime lifetime;
    bool free;
  };
  struct FreePiece {
    Lifetime lifetime;
    std::int64_t bytes;
    std::byte* data;
    auto operator<=>(const FreePiece&) const = default;
  };
  using Pieces = std::map<std::byte*, Piece>;  // by address

  void join(Pieces::iterator piece, Pieces::iterator next);
  void set_free(Pieces::iterator piece, bool free);

  std::map<std::int64_t, std::vector<std::byte*>> small_;  // by size class
  Pieces pieces_;
  std::set<FreePiece> free_;  // the free ones of pieces_
  std::uint64_t segments_ = 0;
};

}  // namespace retrace
