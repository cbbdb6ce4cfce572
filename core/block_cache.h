#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace retrace {

/// Freed memory of one device, kept to be handed out again. Small blocks are handed out for their own size
/// alone. A large one may be cut, and neighbours that are free become one again, so that a step whose sizes
/// change (stages of a network) holds about as much as it uses at its peak.
class BlockCache {
 public:
  /// Blocks from this size on are large.
  static constexpr std::int64_t kLarge = std::int64_t{64} << 10;

  /// A free block of that size, the smallest that fits; null where there is none.
  std::byte* take(std::int64_t bytes);
  /// A block that came from the system and is in use.
  void add(std::byte* data, std::int64_t bytes);
  /// A block that was taken or added is free again.
  void put(std::byte* data, std::int64_t bytes);
  /// Forgets, and returns, what is free and as it came from the system: a block of which a part is in use stays.
  std::vector<std::pair<std::byte*, std::int64_t>> remove_whole();

 private:
  /// A part of what the system gave at `origin`.
  struct Piece {
    std::int64_t bytes;
    std::byte* origin;
    bool free;
  };
  using Pieces = std::map<std::byte*, Piece>;  // by address

  void join_with_next(Pieces::iterator piece);

  std::map<std::int64_t, std::vector<std::byte*>> small_;
  Pieces pieces_;
  std::set<std::pair<std::int64_t, std::byte*>> free_;  // by size: the free ones of pieces_
};

}  // namespace retrace
