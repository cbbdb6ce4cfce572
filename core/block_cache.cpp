#include <retrace/core/block_cache.h>

#include <iterator>

namespace retrace {

std::byte* BlockCache::take(std::int64_t bytes, Lifetime lifetime) {
  if (bytes < kLarge) {
    const auto found = small_.find(held_bytes(bytes));
    if (found == small_.end() || found->second.empty()) return nullptr;
    std::byte* data = found->second.back();
    found->second.pop_back();
    return data;
  }
  const auto fitting = free_.lower_bound({lifetime, bytes, nullptr});
  if (fitting == free_.end() || fitting->lifetime != lifetime) return nullptr;
  const auto piece = pieces_.find(fitting->data);
  set_free(piece, false);
  if (const std::int64_t rest = piece->second.bytes - bytes; rest > 0) {
    Piece cut = piece->second;
    cut.bytes = rest;
    set_free(pieces_.emplace(piece->first + bytes, cut).first, true);
    piece->second.bytes = bytes;
  }
  return piece->first;
}

void BlockCache::put(std::byte* data, std::int64_t bytes, Lifetime lifetime) {
  if (bytes < kLarge) {
    small_[held_bytes(bytes)].push_back(data);
    return;
  }
  auto piece = pieces_.find(data);
  if (piece == pieces_.end())
    piece =
        pieces_
            .emplace(data, Piece{.bytes = bytes, .segment = segments_++, .lifetime = lifetime, .free = false})
            .first;
  set_free(piece, true);
  join(piece, std::next(piece));
  if (piece != pieces_.begin()) join(std::prev(piece), piece);
}

void BlockCache::set_free(Pieces::iterator piece, bool free) {
  piece->second.free = free;
  const FreePiece entry{piece->second.lifetime, piece->second.bytes, piece->first};
  if (free)
    free_.insert(entry);
  else
    free_.erase(entry);
}

/// Makes one of two neighbours, where both are free and of one segment.
void BlockCache::join(Pieces::iterator piece, Pieces::iterator next) {
  if (next == pieces_.end() || !piece->second.free || !next->second.free ||
      piece->second.segment != next->second.segment)
    return;
  set_free(piece, false);
  set_free(next, false);
  piece->second.bytes += next->second.bytes;
  pieces_.erase(next);
  set_free(piece, true);
}

std::vector<std::pair<std::byte*, std::int64_t>> BlockCache::free_parts() const {
  std::vector<std::pair<std::byte*, std::int64_t>> parts;
  for (const FreePiece& piece : free_) parts.emplace_back(piece.data, piece.bytes);
  return parts;
}

std::vector<std::pair<std::byte*, std::int64_t>> BlockCache::remove_whole() {
  std::vector<std::pair<std::byte*, std::int64_t>> whole;
  for (auto& [bytes, blocks] : small_)
    for (std::byte* data : blocks) whole.emplace_back(data, bytes);
  small_.clear();
  std::map<std::uint64_t, int> pieces_of;
  for (const auto& [data, piece] : pieces_) ++pieces_of[piece.segment];
  for (auto piece = pieces_.begin(); piece != pieces_.end();) {
    const auto next = std::next(piece);
    if (piece->second.free && pieces_of.at(piece->second.segment) == 1) {
      whole.emplace_back(piece->first, piece->second.bytes);
      set_free(piece, false);
      pieces_.erase(piece);
    }
    piece = next;
  }
  return whole;
}

}  // namespace retrace
