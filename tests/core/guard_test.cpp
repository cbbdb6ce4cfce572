#include <retrace/core/guard.h>

#include <optional>
#include <thread>

#include "../support/catch.h"

using namespace retrace::detail;

namespace {

using Stack = GuardStack<int>;

int top_of(Stack& stack) { return stack.top() == nullptr ? 0 : *stack.top(); }

}  // namespace

TEST_CASE("the innermost guard is the one made last of those that exist", "[guard]") {
  Stack stack;
  CHECK(stack.top() == nullptr);
  std::optional<Guard> first(stack.push(1));
  std::optional<Guard> second(stack.push(2));
  std::optional<Guard> third(stack.push(3));
  CHECK(top_of(stack) == 3);
  second.reset();
  CHECK(top_of(stack) == 3);
  third.reset();
  CHECK(top_of(stack) == 1);
  const Guard fourth = stack.push(4);
  first.reset();
  CHECK(top_of(stack) == 4);
}

TEST_CASE("a guard that is replaced again and again leaves one entry", "[guard]") {
  Stack stack;
  std::unique_ptr<Guard> guard;
  for (int i = 1; i <= 1000; ++i) guard = std::make_unique<Guard>(stack.push(i));
  CHECK(top_of(stack) == 1000);
  int entries = 0;
  stack.find([&](int) {
    ++entries;
    return false;
  });
  CHECK(entries == 1);
}

TEST_CASE("a guard may end after its stack, and on another thread", "[guard][tsan]") {
  std::optional<Guard> survivor;
  {
    Stack stack;
    survivor.emplace(stack.push(1));
  }
  survivor.reset();

  Stack stack;
  survivor.emplace(stack.push(2));
  std::thread([&] { survivor.reset(); }).join();
  CHECK(stack.top() == nullptr);
}
