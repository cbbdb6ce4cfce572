#include <retrace/core/allocator.h>

#include <cstdint>

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
