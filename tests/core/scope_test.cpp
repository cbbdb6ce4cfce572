#include <retrace/core/random.h>
#include <retrace/core/scope.h>
#include <retrace/core/tensor.h>

#include <thread>

#include "../support/catch.h"

using namespace retrace;

TEST_CASE("scopes name where the program is", "[scope]") {
  CHECK(path_of(current_scope().node).empty());
  {
    const Scope stage("stage1");
    const Scope block("block2");
    CHECK(path_of(current_scope().node) == "stage1.block2");
    const Tensor x({1}, DType::f32);
    CHECK(path_of(ledger().alive().back().scope) == "stage1.block2");
  }
  CHECK(current_scope().node == nullptr);
}

TEST_CASE("the same path is the same node", "[scope]") {
  const auto node = [] {
    const Scope stage("stage1");
    return current_scope().node;
  };
  CHECK(node() == node());
  const Scope outer("outer");
  CHECK(node() != nullptr);
  CHECK(path_of(node()) == "outer.stage1");
}

TEST_CASE("each thread has a scope of its own", "[scope]") {
  const Scope stage("stage1");
  std::string path = "unset";
  std::thread([&] { path = path_of(current_scope().node); }).join();
  CHECK(path.empty());
}

TEST_CASE("calls of one scope draw different numbers, in every run the same ones", "[scope]") {
  const auto streams = [] {
    manual_seed(3);
    std::vector<std::uint64_t> result;
    for (const char* name : {"F", "G", "F"}) {
      const Scope scope(name);
      result.push_back(next_stream().stream);
      result.push_back(next_stream().stream);
    }
    result.push_back(next_stream().stream);
    return result;
  };
  const std::vector<std::uint64_t> first = streams();
  CHECK(streams() == first);
  for (std::size_t i = 0; i < first.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) CHECK(first[i] != first[j]);
}

TEST_CASE("what a scope draws does not depend on its neighbours", "[scope]") {
  const auto in_g = [](bool f_draws) {
    manual_seed(3);
    {
      const Scope f("F");
      if (f_draws) static_cast<void>(next_stream());
    }
    const Scope g("G");
    return next_stream().stream;
  };
  CHECK(in_g(true) == in_g(false));
}

TEST_CASE("Reenter replays a scope's numbers in any order", "[scope]") {
  manual_seed(5);
  std::vector<ScopeState> states;
  std::vector<std::uint64_t> drawn;
  for (const char* name : {"F", "G"}) {
    const Scope scope(name);
    states.push_back(current_scope());
    drawn.push_back(next_stream().stream);
    const Scope inner("dropout");
    drawn.push_back(next_stream().stream);
  }
  advance_generator();
  advance_generator();
  for (const std::size_t i : {1U, 0U, 1U}) {
    const Reenter scope(states[i]);
    CHECK(current_scope().node == states[i].node);
    CHECK(next_stream().stream == drawn[2 * i]);
    const Scope inner("dropout");
    CHECK(next_stream().stream == drawn[2 * i + 1]);
  }
}

TEST_CASE("a snapshot goes back to the middle of a scope", "[scope]") {
  manual_seed(5);
  const Scope scope("F");
  static_cast<void>(next_stream());
  { const Scope entered("dropout"); }
  const ScopeSnapshot snapshot = scope_snapshot();
  const auto draw = [] {
    std::vector<std::uint64_t> result = {next_stream().stream};
    const Scope inner("dropout");
    result.push_back(next_stream().stream);
    return result;
  };
  const std::vector<std::uint64_t> drawn = draw();
  const Reenter again(snapshot);
  CHECK(draw() == drawn);
}

TEST_CASE("the running operation is a stack of names", "[scope]") {
  CHECK(current_op().empty());
  {
    const OpName outer("conv2d");
    {
      const OpName inner("relu");
      CHECK(current_op() == "relu");
    }
    CHECK(current_op() == "conv2d");
    const Tensor x({1}, DType::f32);
    CHECK(ledger().alive().back().op == "conv2d");
  }
  CHECK(current_op().empty());
}
