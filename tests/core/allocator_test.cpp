#include <retrace/core/allocator.h>

#include <cstdint>
#include <random>
#include <vector>

#include "../support/catch.h"

using namespace retrace;

TEST_CASE("blocks are aligned and rounded up", "[allocator]") {
  for (const std::int64_t bytes : {1, 63, 64, 65, 1000}) {
    const Block block = allocator().allocate(bytes, Tag::data);
    CHECK(reinterpret_cast<std::uintptr_t>(block.data) % kBlockAlignment == 0);
    CHECK(block.bytes % kBlockAlignment == 0);
    CHECK(block.bytes >= bytes);
    CHECK(block.bytes < bytes + kBlockAlignment);
    allocator().deallocate(block);
  }
}

TEST_CASE("a freed block is handed out again for its size alone", "[allocator]") {
  allocator().flush();
  const Block first = allocator().allocate(500, Tag::activation);
  allocator().deallocate(first);
  CHECK(ledger().cached() == 512);
  const Block other = allocator().allocate(600, Tag::activation);
  CHECK(other.data != first.data);
  CHECK(ledger().cached() == 512);
  const Block again = allocator().allocate(450, Tag::gradient);
  CHECK(again.data == first.data);
  CHECK(again.serial != first.serial);
  CHECK(ledger().cached() == 0);
  allocator().deallocate(other);
  allocator().deallocate(again);
}

TEST_CASE("flush gives all cached blocks back", "[allocator]") {
  const std::int64_t live = ledger().live();
  const Block block = allocator().allocate(64, Tag::data);
  allocator().deallocate(block);
  CHECK(ledger().cached() >= 64);
  allocator().flush();
  CHECK(ledger().cached() == 0);
  CHECK(ledger().live() == live);
}

TEST_CASE("3,000 steps of random shapes leave a bounded cache", "[allocator]") {
  allocator().flush();
  const std::int64_t before = ledger().live();
  constexpr int kTensors = 4;
  constexpr std::int64_t kRow = 64 * 4;  // bytes
  constexpr std::int64_t kMaxRows = 3500;
  std::mt19937 random(1);
  for (int step = 0; step < 3000; ++step) {
    const std::int64_t rows = 1 + static_cast<std::int64_t>(random() % kMaxRows);
    std::vector<Block> blocks;
    for (int t = 0; t < kTensors; ++t) blocks.push_back(allocator().allocate(rows * kRow, Tag::activation));
    REQUIRE(ledger().live() == before + kTensors * rows * kRow);
    for (const Block& block : blocks) allocator().deallocate(block);
  }
  // four blocks of each class up to the largest, 917,504 bytes: the classes up to b bytes add up to less than
  // 13 b
  CHECK(ledger().cached() < 13 * kTensors * kMaxRows * kRow);
  CHECK(ledger().live() == before);
  allocator().flush();
  CHECK(ledger().cached() == 0);
}

TEST_CASE("blocks of every size around a class are given and taken back", "[allocator]") {
  allocator().flush();
  for (std::int64_t bytes = 512; bytes <= 2 * BlockCache::kLarge; bytes *= 2)
    for (const std::int64_t size : {bytes - 64, bytes - 1, bytes, bytes + 1, bytes + bytes / 2 + 64}) {
      const Block block = allocator().allocate(size, Tag::activation);
      CHECK(block.bytes == block_bytes(size));
      allocator().deallocate(block);
      const Block again = allocator().allocate(size, Tag::activation);
      CHECK(again.data == block.data);
      allocator().deallocate(again);
    }
  allocator().flush();
  CHECK(ledger().cached() == 0);
}
