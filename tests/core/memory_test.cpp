#include <retrace/core/allocator.h>
#include <retrace/core/error.h>
#include <retrace/core/tensor.h>

#include <algorithm>

#include "../support/catch.h"
#include "../support/throws.h"

using namespace retrace;
using test::check_throws;

namespace {

/// A budget while it exists.
class WithBudget {
 public:
  explicit WithBudget(std::int64_t bytes) { ledger().set_budget(bytes); }
  ~WithBudget() { ledger().set_budget(0); }
  WithBudget(const WithBudget&) = delete;
  WithBudget& operator=(const WithBudget&) = delete;
};

Tensor bytes(std::int64_t count, Tag tag) { return Tensor({count}, DType::u8, tag); }

}  // namespace

TEST_CASE("every tag has a name, and sets of tags add and subtract", "[memory]") {
  CHECK(name_of(Tag::parameter) == "parameter");
  CHECK(name_of(Tag::parameter_gradient) == "parameter_gradient");
  CHECK(name_of(Tag::data) == "data");
  constexpr TagSet kSet = Tag::activation | Tag::saved;
  CHECK(kSet.contains(Tag::saved));
  CHECK(!kSet.contains(Tag::gradient));
  CHECK(!(kSet - Tag::saved).contains(Tag::saved));
  CHECK((kSet | Tag::data).contains(Tag::data));
  for (int t = 0; t < kTagCount; ++t) CHECK(TagSet::all().contains(static_cast<Tag>(t)));
  CHECK(!kStepTags.contains(Tag::data));
}

TEST_CASE("the ledger counts rounded bytes by tag", "[memory]") {
  const Ledger& book = ledger();
  for (int t = 0; t < kTagCount; ++t) {
    const auto tag = static_cast<Tag>(t);
    const std::int64_t live = book.live(tag);
    const std::int64_t total = book.total(tag);
    const std::int64_t all = book.live();
    {
      const Tensor x = bytes(65, tag);
      CHECK(book.live(tag) == live + 128);
      CHECK(book.live() == all + 128);
    }
    CHECK(book.live(tag) == live);
    CHECK(book.total(tag) == total + 128);
  }
}

TEST_CASE("counters count from when they were made, and nest", "[memory]") {
  const Tensor before = bytes(64, Tag::activation);
  const std::int64_t live = ledger().live(Tag::activation);
  const Counter outer(Tag::activation);
  CHECK(outer.live() == live);
  CHECK(outer.peak() == live);
  CHECK(outer.total() == 0);
  { const Tensor x = bytes(640, Tag::activation); }
  {
    const Counter inner(Tag::activation);
    const Tensor x = bytes(128, Tag::activation);
    const Tensor other = bytes(256, Tag::gradient);
    CHECK(inner.live() == live + 128);
    CHECK(inner.peak() == live + 128);
    CHECK(inner.total() == 128);
  }
  CHECK(outer.live() == live);
  CHECK(outer.peak() == live + 640);
  CHECK(outer.total() == 768);
}

TEST_CASE("a counter remembers what was alive at the first peak", "[memory]") {
  const std::int64_t before = ledger().live(Tag::saved);
  const Counter counter(Tag::saved, /*remember=*/true);
  Tensor small = bytes(64, Tag::saved);
  small.storage().set_op("relu");
  {
    const Scope stage("stage1");
    const Scope block("block2");
    const Tensor large = bytes(192, Tag::saved);
    large.storage().set_op("max_pool2d");
  }
  { const Tensor equal = bytes(192, Tag::saved); }
  CHECK(counter.peak() == before + 256);
  const std::vector<AllocationRecord> alive = counter.alive_at_peak();
  REQUIRE(alive.size() >= 2);
  CHECK(alive[0].bytes == 192);
  CHECK(path_of(alive[0].scope) == "stage1.block2");
  CHECK(alive[1].bytes == 64);
  CHECK(alive[1].op == "relu");
  CHECK(alive[1].scope == nullptr);
  CHECK(alive[1].tag == Tag::saved);
}

TEST_CASE("a counter remembers every event in its order", "[memory]") {
  const Tensor before = bytes(64, Tag::optimizer);
  const Counter counter(Tag::optimizer, /*remember=*/true);
  { const Tensor x = bytes(128, Tag::optimizer); }
  const std::vector<Counter::Event> events = counter.events();
  REQUIRE(events.size() == 3);
  CHECK(events[0].record.bytes == 64);
  CHECK(events[0].alive);
  CHECK(events[0].seconds == 0);
  CHECK(events[1].record.bytes == 128);
  CHECK(events[1].alive);
  CHECK(events[2].record.serial == events[1].record.serial);
  CHECK(!events[2].alive);
  CHECK(events[2].seconds >= events[1].seconds);
}

TEST_CASE("a counter knows names that came late, and the tensor that an allocation was for", "[memory]") {
  const Counter counter(Tag::saved, /*remember=*/true);
  const Counter::Moment start = counter.now();
  {
    Tensor mask({2, 3}, DType::i32, Tag::saved);
    mask.storage().set_op("relu");
    mask.storage().release("the test");
    mask.storage().restore();
    CHECK(mask.storage().serial() != 0);
  }
  const Counter::Moment end = counter.now();
  CHECK(end.events == start.events + 4);
  CHECK(end.seconds >= start.seconds);
  const std::vector<Counter::Event> events = counter.events();
  const AllocationRecord& first = events[start.events].record;
  CHECK(first.op == "relu");
  CHECK(first.shape == Shape{2, 3});
  CHECK(first.dtype == DType::i32);
  const AllocationRecord& restored = events[start.events + 2].record;
  CHECK(restored.serial != first.serial);
  CHECK(restored.shape == Shape{2, 3});
  CHECK(restored.dtype == DType::i32);
}

TEST_CASE("a counter that was not told to remember cannot list", "[memory]") {
  const Counter counter;
  const char* const text = "[counter] a counter that lists allocations must be made with remember = true";
  check_throws<ArgumentError>([&] { return counter.events(); }, text);
  check_throws<ArgumentError>([&] { return counter.alive_at_peak(); }, text);
}

TEST_CASE("changing a tag is no allocation", "[memory]") {
  Tensor x = bytes(64, Tag::gradient);
  const Counter counter;
  x.storage().set_tag(Tag::parameter_gradient);
  CHECK(counter.total() == 0);
  CHECK(counter.peak() == counter.live());
}

TEST_CASE("bytes are printed in the largest fitting unit", "[memory]") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(512) == "512 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1536) == "1.5 KiB");
  CHECK(format_bytes(89757286) == "85.6 MiB");
  CHECK(format_bytes(std::int64_t{5} << 30) == "5.0 GiB");
  CHECK(format_bytes(std::int64_t{5000} << 30) == "5000.0 GiB");
  CHECK(format_bytes(-2048) == "-2.0 KiB");
}

TEST_CASE("a table groups records by place, operation and tag", "[memory]") {
  const AllocationRecord small{.bytes = 64, .tag = Tag::saved, .scope = nullptr, .op = "relu", .serial = 1};
  const AllocationRecord large{
      .bytes = 4096, .tag = Tag::activation, .scope = nullptr, .op = "", .serial = 2};
  CHECK(table_of({small, large, small}) ==
        "       bytes  count  tag                 operation         where\n"
        "        4096      1  activation          -                 -\n"
        "         128      2  saved               relu              -\n");
  CHECK(table_of({small, large, small}, 1) ==
        "       bytes  count  tag                 operation         where\n"
        "        4096      1  activation          -                 -\n"
        "         128      2  (smaller ones)\n");
  const AllocationRecord named{.bytes = 64, .tag = Tag::data, .scope = nullptr, .op = "an_op_of_18_letter"};
  CHECK(table_of({large, named}) ==
        "       bytes  count  tag                 operation           where\n"
        "        4096      1  activation          -                   -\n"
        "          64      1  data                an_op_of_18_letter  -\n");
}

TEST_CASE("beyond the budget, the error shows the table of what is alive", "[memory]") {
  allocator().flush();
  const Tensor held = bytes(1024, Tag::activation);
  held.storage().set_op("conv2d");
  const std::int64_t live = ledger().live();
  const WithBudget budget(live + 256);
  const Counter counter;
  { const Tensor fits = bytes(256, Tag::data); }
  const std::string text = "[allocate] 320 B must fit into the budget of " + format_bytes(live + 256) +
                           ", of which " + format_bytes(live) + " are alive:\n" + table_of(ledger().alive());
  check_throws<OutOfMemoryError>([] { return bytes(257, Tag::data); }, text);
  CHECK(text.find("        1024      1  activation          conv2d            -\n") != std::string::npos);
  CHECK(counter.live() == live);
  CHECK(counter.total() == 256);
}

TEST_CASE("cached blocks make room before the budget is exceeded", "[memory]") {
  allocator().flush();
  { const Tensor x = bytes(1024, Tag::data); }
  CHECK(ledger().cached() == 1024);
  const WithBudget budget(ledger().live() + 1024);
  const Tensor other = bytes(512, Tag::data);
  CHECK(ledger().cached() == 0);
}

TEST_CASE("more than the machine has is an error, too", "[memory]") {
  try {
    const Tensor x = bytes(std::int64_t{1} << 59, Tag::data);
    FAIL("nothing was thrown");
  } catch (const OutOfMemoryError& error) {
    CHECK(std::string(error.what())
              .starts_with("[allocate] 536870912.0 GiB must fit into what the machine has, of which "));
  }
}

TEST_CASE("a budget is not negative", "[memory]") {
  check_throws<ArgumentError>([] { ledger().set_budget(-1); },
                              "[ledger] the budget must be 0 (none) or more bytes, got -1");
  CHECK(ledger().budget() == 0);
}
