#include <retrace/core/error.h>
#include <retrace/core/storage.h>

#include <cstring>

#include "../support/catch.h"
#include "../support/throws.h"

using namespace retrace;
using test::check_throws;

TEST_CASE("released bytes are no longer counted and cannot be read", "[storage]") {
  Storage bytes(100, Tag::activation);
  const std::int64_t live = ledger().live(Tag::activation);
  CHECK(!bytes.released());
  bytes.release("stage1.block2");
  CHECK(bytes.released());
  CHECK(ledger().live(Tag::activation) == live - 128);
  const std::string text =
      "[storage] a tensor that is read must hold its bytes, but stage1.block2 released them; they come back "
      "during "
      "backward, or set keep_input (for inverse, keep_input_inverse) to keep them";
  check_throws<ReleasedError>([&] { return std::as_const(bytes).data(); }, text);
  check_throws<ReleasedError>([&] { return bytes.mutable_data(); }, text);
  bytes.release("someone else");
  check_throws<ReleasedError>([&] { return bytes.mutable_data(); }, text);
}

TEST_CASE("restore gives uninitialised bytes of the same size and tag", "[storage]") {
  Storage bytes(100, Tag::saved);
  const std::int64_t live = ledger().live(Tag::saved);
  bytes.release("the test");
  bytes.restore();
  CHECK(!bytes.released());
  CHECK(ledger().live(Tag::saved) == live);
  std::memset(bytes.mutable_data(), 1, 100);
  bytes.restore();  // of bytes that are there: nothing
  CHECK(ledger().live(Tag::saved) == live);
  CHECK(std::to_integer<int>(std::as_const(bytes).data()[99]) == 1);
}

TEST_CASE("restore_from takes over the bytes of another storage", "[storage]") {
  Storage bytes(64, Tag::activation);
  Storage source(64, Tag::gradient);
  std::memset(source.mutable_data(), 7, 64);
  const std::byte* block = std::as_const(source).data();
  const Counter counter;
  bytes.release("the test");
  const std::int64_t activation = ledger().live(Tag::activation);
  const std::int64_t gradient = ledger().live(Tag::gradient);
  bytes.restore_from(source);
  CHECK(std::as_const(bytes).data() == block);
  CHECK(std::to_integer<int>(std::as_const(bytes).data()[63]) == 7);
  CHECK(source.released());
  CHECK(counter.total() == 0);
  CHECK(ledger().live(Tag::activation) == activation + 64);
  CHECK(ledger().live(Tag::gradient) == gradient - 64);
  check_throws<ReleasedError>(
      [&] { return std::as_const(source).data(); },
      "[storage] a tensor that is read must hold its bytes, but the storage that took them "
      "over released them; they come back during backward, or set keep_input (for inverse, "
      "keep_input_inverse) to keep them");
}

TEST_CASE("restore_from refuses bytes that do not fit", "[storage]") {
  Storage bytes(64, Tag::activation);
  Storage other(128, Tag::activation);
  check_throws<ArgumentError>(
      [&] { bytes.restore_from(other); },
      "[storage] released storage of 64 bytes must be restored from as many, got 128");
  bytes.release("the test");
  check_throws<ArgumentError>(
      [&] { bytes.restore_from(other); },
      "[storage] released storage of 64 bytes must be restored from as many, got 128");
  Storage empty(64, Tag::activation);
  empty.release("the test");
  CHECK_THROWS_AS(bytes.restore_from(empty), ArgumentError);
}

TEST_CASE("bytes that are given up say why", "[storage]") {
  Storage bytes(64, Tag::activation);
  bytes.give_up("nothing was released");  // changes nothing
  bytes.release("the wrapper");
  bytes.give_up("backward failed in conv2d");
  check_throws<ReleasedError>(
      [&] { return std::as_const(bytes).data(); },
      "[storage] a tensor that is read must hold its bytes, but the wrapper released them; "
      "they will not come back, because backward failed in conv2d");
}

TEST_CASE("content numbers change with each write and can be put back", "[storage]") {
  Storage bytes(64, Tag::activation);
  Storage other(64, Tag::activation);
  CHECK(bytes.content() != other.content());
  const std::uint64_t before = bytes.content();
  static_cast<void>(std::as_const(bytes).data());
  CHECK(bytes.content() == before);
  {
    const OpName op("relu");
    static_cast<void>(bytes.mutable_data());
  }
  CHECK(bytes.content() != before);
  CHECK(bytes.writer() == "relu");
  bytes.set_content(before);
  CHECK(bytes.content() == before);
}

TEST_CASE("a storage can change its column and its operation in the ledger", "[storage]") {
  Storage bytes(64, Tag::gradient);
  const std::int64_t gradients = ledger().live(Tag::gradient);
  const std::int64_t of_parameters = ledger().live(Tag::parameter_gradient);
  bytes.set_tag(Tag::parameter_gradient);
  bytes.set_op("conv2d");
  CHECK(ledger().live(Tag::gradient) == gradients - 64);
  CHECK(ledger().live(Tag::parameter_gradient) == of_parameters + 64);
  CHECK(ledger().alive(Tag::parameter_gradient).back().op == "conv2d");
  bytes.release("the test");
  bytes.set_tag(Tag::gradient);
  bytes.set_op("relu");
  CHECK(ledger().live(Tag::parameter_gradient) == of_parameters);
  bytes.restore();
  CHECK(bytes.tag() == Tag::gradient);
  CHECK(ledger().live(Tag::gradient) == gradients);
}
