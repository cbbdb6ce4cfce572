#include <retrace/core/block_cache.h>

#include <array>

#include "../support/catch.h"

using namespace retrace;

namespace {

constexpr std::int64_t kUnit = BlockCache::kLarge;

/// Addresses to hand in; the cache never touches what is there.
std::byte* place(std::int64_t units) {
  static std::array<std::byte, 32 * kUnit> memory;
  return memory.data() + units * kUnit;
}

}  // namespace

TEST_CASE("small blocks are handed out for their own size alone", "[allocator]") {
  BlockCache cache;
  cache.put(place(0), 512);
  CHECK(cache.take(448) == nullptr);
  CHECK(cache.take(512) == place(0));
  CHECK(cache.take(512) == nullptr);
}

TEST_CASE("a segment is cut, and its parts become one again", "[allocator]") {
  BlockCache cache;
  cache.put(place(0), 4 * kUnit);
  REQUIRE(cache.take(kUnit) == place(0));
  REQUIRE(cache.take(kUnit) == place(1));
  REQUIRE(cache.take(2 * kUnit) == place(2));
  CHECK(cache.take(kUnit) == nullptr);
  SECTION("freed from the front") {
    cache.put(place(0), kUnit);
    cache.put(place(1), kUnit);
    cache.put(place(2), 2 * kUnit);
  }
  SECTION("freed from the back") {
    cache.put(place(2), 2 * kUnit);
    cache.put(place(1), kUnit);
    cache.put(place(0), kUnit);
  }
  SECTION("the middle last") {
    cache.put(place(0), kUnit);
    cache.put(place(2), 2 * kUnit);
    cache.put(place(1), kUnit);
  }
  CHECK(cache.take(4 * kUnit) == place(0));
}

TEST_CASE("a block is cut where the least is left", "[allocator]") {
  BlockCache cache;
  cache.put(place(0), 4 * kUnit);
  cache.put(place(8), 2 * kUnit);
  CHECK(cache.take(3 * kUnit) == place(0));
  CHECK(cache.take(2 * kUnit) == place(8));
  CHECK(cache.take(kUnit) == place(3));
  CHECK(cache.take(kUnit) == nullptr);
}

TEST_CASE("of places that fit equally the first is taken", "[allocator]") {
  BlockCache cache;
  cache.put(place(8), 2 * kUnit);
  cache.put(place(0), 2 * kUnit);
  CHECK(cache.take(kUnit) == place(0));
  CHECK(cache.take(2 * kUnit) == place(8));
  CHECK(cache.take(kUnit) == place(1));
}

TEST_CASE("blocks that live longer have segments of their own", "[allocator]") {
  BlockCache cache;
  cache.put(place(0), 4 * kUnit);
  CHECK(cache.take(kUnit, Lifetime::longer) == nullptr);
  cache.put(place(8), 2 * kUnit, Lifetime::longer);
  CHECK(cache.take(kUnit, Lifetime::longer) == place(8));
  CHECK(cache.take(4 * kUnit) == place(0));
  CHECK(cache.take(kUnit) == nullptr);
  cache.put(place(8), kUnit);
  CHECK(cache.take(2 * kUnit, Lifetime::longer) == place(8));
}

TEST_CASE("neighbours that the system gave apart stay apart", "[allocator]") {
  BlockCache cache;
  cache.put(place(0), kUnit);
  cache.put(place(1), kUnit);
  CHECK(cache.take(2 * kUnit) == nullptr);
}

TEST_CASE("only whole segments go back to the system", "[allocator]") {
  BlockCache cache;
  cache.put(place(0), 2 * kUnit);
  cache.put(place(8), 3 * kUnit);
  cache.put(place(16), 64);
  REQUIRE(cache.take(kUnit) == place(0));
  const auto first = cache.remove_whole();
  REQUIRE(first.size() == 2);
  CHECK(first[0] == std::pair(place(16), std::int64_t{64}));
  CHECK(first[1] == std::pair(place(8), 3 * kUnit));
  cache.put(place(0), kUnit);
  const auto rest = cache.remove_whole();
  REQUIRE(rest.size() == 1);
  CHECK(rest[0] == std::pair(place(0), 2 * kUnit));
}

TEST_CASE("small blocks share size classes, eight in each doubling", "[allocator]") {
  for (std::int64_t bytes = 64; bytes <= 1024; bytes += 64) CHECK(BlockCache::held_bytes(bytes) == bytes);
  CHECK(BlockCache::held_bytes(1088) == 1152);
  CHECK(BlockCache::held_bytes(1152) == 1152);
  CHECK(BlockCache::held_bytes(2048) == 2048);
  CHECK(BlockCache::held_bytes(kUnit - 64) == kUnit - 64);  // not kUnit, from which blocks are large
  CHECK(BlockCache::held_bytes(kUnit + 64) == kUnit + 64);
  for (std::int64_t bytes = 64; bytes < kUnit; bytes += 64) {
    REQUIRE(BlockCache::held_bytes(bytes) >= bytes);
    REQUIRE(8 * (BlockCache::held_bytes(bytes) - bytes) < bytes);
  }
  BlockCache cache;
  cache.put(place(0), 1088);
  CHECK(cache.take(1152) == place(0));
  const std::int64_t below = kUnit - 15 * 1024;  // of the last class
  cache.put(place(1), BlockCache::held_bytes(below));
  CHECK(cache.take(below) == place(1));
}
