#include <retrace/core/error.h>
#include <retrace/core/random.h>
#include <retrace/core/scope.h>
#include <retrace/core/tensor.h>

#include <memory>
#include <optional>
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

TEST_CASE("scopes and names of operations end in any order", "[scope]") {
  std::optional<Scope> outer(std::in_place, "outer");
  std::optional<Scope> inner(std::in_place, "inner");
  outer.reset();
  CHECK(path_of(current_scope().node) == "outer.inner");
  const Scope deeper("deeper");
  inner.reset();
  CHECK(path_of(current_scope().node) == "outer.inner.deeper");

  std::unique_ptr<OpName> op;
  for (const char* name : {"first", "second", "third"}) {
    op = std::make_unique<OpName>(name);
    CHECK(current_op() == name);
  }
  op.reset();
  CHECK(current_op().empty());
}

TEST_CASE("a scope keeps the seed with which it was entered", "[scope]") {
  manual_seed(3);
  std::optional<Scope> scope(std::in_place, "F");
  const ScopeSnapshot snapshot = scope_snapshot();
  const RandomStream first = next_stream();
  scope.reset();
  manual_seed(4);
  const Reenter again(snapshot);
  CHECK(next_stream().seed == 3);
  CHECK(scope_snapshot().draws == 1);
  CHECK(first.seed == 3);
}

TEST_CASE("a seed that is set inside of a scope holds from there on", "[scope]") {
  const auto streams = [](std::uint64_t before) {
    manual_seed(before);
    const Scope outer("outer");
    const Scope inner("inner");
    static_cast<void>(next_stream());
    manual_seed(7);
    const RandomStream drawn = next_stream();
    CHECK(drawn.seed == 7);
    return drawn.stream;
  };
  CHECK(streams(1) == streams(2));
  CHECK(generator_state().seed == 7);
}

TEST_CASE("a seed that is set inside of a replay does not leave it", "[scope]") {
  manual_seed(3);
  const ScopeSnapshot here = scope_snapshot();
  static_cast<void>(next_stream());
  const std::uint64_t draws = scope_snapshot().draws;
  {
    const Reenter again(here);
    const Scope inner("inner");
    manual_seed(7);
    CHECK(next_stream().seed == 7);
  }
  CHECK(generator_state().seed == 3);
  CHECK(scope_snapshot().draws == draws);
}

TEST_CASE("in another order, a name draws once", "[scope]") {
  const std::string text =
      "[random] while an inverse is replayed, random numbers must be drawn once under each name, but '{}' "
      "draws "
      "twice; use a clone of the module, or a Scope of its own for each use";
  const auto text_for = [&](const std::string& path) {
    return std::string(text).replace(text.find("{}"), 2, path);
  };
  manual_seed(3);
  const Reenter replay(scope_snapshot(), Order::other);
  static_cast<void>(next_stream());
  CHECK_THROWS_AS(next_stream(), GradientError);
  CHECK_THROWS_WITH(next_stream(), text_for(""));
  for (const char* name : {"F", "G"}) {
    const Scope scope(name);
    static_cast<void>(next_stream());
    static_cast<void>(next_stream());  // inside, the order is that of the forward
  }
  const Scope again("F");
  const Scope inside("dropout");
  CHECK_THROWS_WITH(next_stream(), text_for("F.dropout"));
}
