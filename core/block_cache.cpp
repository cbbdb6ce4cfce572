#include <retrace/core/block_cache.h>

#include <algorithm>
#include <iterator>

namespace retrace {

std::byte* BlockCache::take(std::int64_t bytes) {
  if (bytes < kLarge) {
    const auto found = small_.find(bytes);
    if (found == small_.end() || found->second.empty()) return nullptr;
    std::byte* data = found->second.back();
    found->second.pop_back();
    return data;
  }
  const auto fitting = std::find_if(
      free_.begin(), free_.end(), [&](const auto& place) { return pieces_.at(place.second).bytes >= bytes; });
  if (fitting == free_.end()) return nullptr;
  const auto piece = pieces_.find(fitting->second);
  set_free(piece, false);
  if (const std::int64_t rest = piece->second.bytes - bytes; rest > 0) {
    const Piece cut{.bytes = rest, .segment = piece->second.segment, .free = false};
    set_free(pieces_.emplace(piece->first + bytes, cut).first, true);
    piece->second.bytes = bytes;
  }
  return piece->first;
}

void BlockCache::put(std::byte* data, std::int64_t bytes) {
  if (bytes < kLarge) {
    small_[bytes].push_back(data);
    return;
  }
  auto piece = pieces_.find(data);
  if (piece == pieces_.end())
    piece = pieces_.emplace(data, Piece{.bytes = bytes, .segment = segments_++, .free = false}).first;
  set_free(piece, true);
  join(piece, std::next(piece));
  if (piece != pieces_.begin()) join(std::prev(piece), piece);
}

void BlockCache::set_free(Pieces::iterator piece, bool free) {
  piece->second.free = free;
  if (free)
    free_.emplace(piece->second.segment, piece->first);
  else
    free_.erase({piece->second.segment, piece->first});
}

/// Makes one of two neighbours, where both are free and of one segment.
void BlockCache::join(Pieces::iterator piece, Pieces::iterator next) {
  if (next == pieces_.end() || !piece->second.free || !next->second.free ||
      piece->second.segment != next->second.segment)
    return;
  piece->second.bytes += next->second.bytes;
  set_free(next, false);
  pieces_.erase(next);
}

std::vector<std::pair<std::byte*, std::int64_t>> BlockCache::free_parts() const {
  std::vector<std::pair<std::byte*, std::int64_t>> parts;
  for (const auto& [segment, data] : free_) parts.emplace_back(data, pieces_.at(data).bytes);
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
