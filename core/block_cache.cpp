#include <retrace/core/block_cache.h>

#include <cassert>
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
  const auto fitting = free_.lower_bound({bytes, nullptr});
  if (fitting == free_.end()) return nullptr;
  const auto [size, data] = *fitting;
  free_.erase(fitting);
  Piece& piece = pieces_.at(data);
  piece.free = false;
  piece.bytes = bytes;
  if (size > bytes) {
    pieces_.emplace(data + bytes, Piece{.bytes = size - bytes, .origin = piece.origin, .free = true});
    free_.emplace(size - bytes, data + bytes);
  }
  return data;
}

void BlockCache::add(std::byte* data, std::int64_t bytes) {
  if (bytes >= kLarge) pieces_.emplace(data, Piece{.bytes = bytes, .origin = data, .free = false});
}

void BlockCache::put(std::byte* data, std::int64_t bytes) {
  if (bytes < kLarge) {
    small_[bytes].push_back(data);
    return;
  }
  auto piece = pieces_.find(data);
  assert(piece != pieces_.end() && !piece->second.free);
  piece->second.free = true;
  join_with_next(piece);
  if (piece != pieces_.begin()) {
    const auto before = std::prev(piece);
    if (before->second.free && before->second.origin == piece->second.origin) {
      free_.erase({before->second.bytes, before->first});
      join_with_next(before);
      piece = before;
    }
  }
  free_.emplace(piece->second.bytes, piece->first);
}

/// Takes the next piece in, where it is free and of the same origin.
void BlockCache::join_with_next(Pieces::iterator piece) {
  const auto next = std::next(piece);
  if (next == pieces_.end() || !next->second.free || next->second.origin != piece->second.origin) return;
  free_.erase({next->second.bytes, next->first});
  piece->second.bytes += next->second.bytes;
  pieces_.erase(next);
}

std::vector<std::pair<std::byte*, std::int64_t>> BlockCache::remove_whole() {
  std::vector<std::pair<std::byte*, std::int64_t>> whole;
  for (auto& [bytes, blocks] : small_)
    for (std::byte* data : blocks) whole.emplace_back(data, bytes);
  small_.clear();
  for (auto piece = pieces_.begin(); piece != pieces_.end();) {
    const auto next = std::next(piece);
    const auto& [bytes, origin, free] = piece->second;
    const bool begins = piece->first == origin;
    const bool ends = next == pieces_.end() || next->second.origin != origin;
    if (free && begins && ends) {
      whole.emplace_back(piece->first, bytes);
      free_.erase({bytes, piece->first});
      pieces_.erase(piece);
    }
    piece = next;
  }
  return whole;
}

}  // namespace retrace
