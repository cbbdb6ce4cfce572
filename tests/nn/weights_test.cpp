#include <retrace/core/error.h>
#include <retrace/core/file.h>
#include <retrace/nn/weights.h>

#include "../support/catch.h"
#include "../support/temporary_folder.h"

using namespace retrace;
using retrace::test::TemporaryFolder;

namespace {

/// y = w x + b with a count of calls: a parameter that may be absent, and buffers of two types.
class Affine final : public Module {
 public:
  explicit Affine(float value, bool bias = true)
      : weight_(Tensor::full({2, 3}, value, DType::f32)),
        bias_(bias ? Parameter(Tensor::full({2}, value + 1, DType::f32)) : Parameter()),
        mean_(Tensor::full({3}, value + 2, DType::f32, Tag::buffer)),
        calls_(Tensor::full({}, value + 3, DType::i64, Tag::buffer)) {}

  void members(Members& m) override {
    m.parameter("weight", weight_);
    m.parameter("bias", bias_);
    m.buffer("mean", mean_);
    m.buffer("calls", calls_);
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Affine>(*this); }

  Parameter weight_;
  Parameter bias_;
  Tensor mean_;
  Tensor calls_;
};

/// Two of them, the second under a longer path.
class Pair final : public Module {
 public:
  explicit Pair(float value, bool bias = true) : first_(value, bias), second_(value + 10) {}
  void members(Members& m) override {
    m.module("first", first_);
    m.module("second", second_);
  }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Pair>(*this); }

  Affine first_;
  Affine second_;
};

std::vector<double> all_values(Module& module) {
  std::vector<double> values;
  for (const auto& [name, tensor] : state_dict(module))
    for (const double value : tensor.to_vector<double>()) values.push_back(value);
  return values;
}

std::vector<std::string> names_of(const std::vector<Named<Tensor>>& state) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state) names.push_back(name);
  return names;
}

}  // namespace

TEST_CASE("weights come back into another module of the same kind", "[weights]") {
  const TemporaryFolder folder;
  Pair written(1);
  Pair read(5);
  save_weights(written, folder / "w", {{"network", "pair"}});
  CHECK(all_values(read) != all_values(written));
  const Tensor held = state_dict(read).front().second;
  CHECK(load_weights(read, folder / "w") == Metadata{{"network", "pair"}});
  CHECK(all_values(read) == all_values(written));
  CHECK(held.shares_storage(state_dict(read).front().second));
  CHECK_FALSE(held.shares_storage(state_dict(written).front().second));
}

TEST_CASE("a state dict lists parameters, then buffers, by path", "[weights]") {
  Pair module(1);
  CHECK(names_of(state_dict(module)) ==
        std::vector<std::string>{"first.weight", "first.bias", "second.weight", "second.bias", "first.mean",
                                 "first.calls", "second.mean", "second.calls"});
}

TEST_CASE("f32 weights widen into an f64 module exactly, and never the other way", "[weights]") {
  const TemporaryFolder folder;
  Pair narrow(0.1F);
  Pair wide(5);
  wide.to(DType::f64);
  save_weights(narrow, folder / "narrow");
  load_weights(wide, folder / "narrow");
  CHECK(all_values(wide) == all_values(narrow));
  CHECK(state_dict(wide).front().second.dtype() == DType::f64);

  save_weights(wide, folder / "wide");
  const std::vector<double> before = all_values(narrow);
  CHECK_THROWS_AS(load_weights(narrow, folder / "wide"), DTypeError);
  CHECK_THROWS_WITH(
      load_weights(narrow, folder / "wide"),
      "[load_weights] " + (folder / "wide").string() +
          " must have the module's element types or f32 for f64, but first.weight is f64 for f32, first.bias "
          "is "
          "f64 for f32, second.weight is f64 for f32, second.bias is f64 for f32, first.mean is f64 for f32, "
          "second.mean is f64 for f32");
  CHECK(all_values(narrow) == before);
}

TEST_CASE("a state that does not fit changes nothing and says what is wrong", "[weights]") {
  Pair module(1);
  const std::vector<double> before = all_values(module);
  Pair other(7);
  std::vector<Named<Tensor>> state = state_dict(other);

  SECTION("missing names") {
    Pair without(3, /*bias=*/false);
    CHECK_THROWS_AS(load_state_dict(module, state_dict(without)), ArgumentError);
    CHECK_THROWS_WITH(load_state_dict(module, state_dict(without)),
                      "[load_state_dict] the state must have the names of the module's parameters and "
                      "buffers, but it lacks "
                      "first.bias");
  }
  SECTION("unexpected names") {
    state.emplace_back("third.weight", Tensor::zeros({1}, DType::f32));
    state.emplace_back("fourth", Tensor::zeros({1}, DType::f32));
    CHECK_THROWS_WITH(
        load_state_dict(module, state),
        "[load_state_dict] the state must have the names of the module's parameters and buffers, but it has "
        "unexpected third.weight, fourth");
  }
  SECTION("both") {
    state.front().first = "1st.weight";
    CHECK_THROWS_WITH(load_state_dict(module, state),
                      "[load_state_dict] the state must have the names of the module's parameters and "
                      "buffers, but it lacks "
                      "first.weight and it has unexpected 1st.weight");
  }
  SECTION("many") {
    CHECK_THROWS_AS(load_state_dict(module, {}), ArgumentError);
    for (int i = 0; i < 11; ++i)
      state.emplace_back(std::string(1, static_cast<char>('a' + i)), Tensor::zeros({1}, DType::f32));
    CHECK_THROWS_WITH(
        load_state_dict(module, state),
        "[load_state_dict] the state must have the names of the module's parameters and buffers, but it has "
        "unexpected a, b, c, d, e, f, g, h, i, j and 1 more");
  }
  SECTION("a name twice") {
    state.push_back(state.back());
    CHECK_THROWS_WITH(load_state_dict(module, state),
                      "[load_state_dict] the state must have each name once, got 'second.calls' twice");
  }
  SECTION("shapes") {
    state[1].second = Tensor::zeros({3}, DType::f32);
    state[7].second = Tensor::zeros({1}, DType::i64);
    CHECK_THROWS_AS(load_state_dict(module, state), ShapeError);
    CHECK_THROWS_WITH(load_state_dict(module, state),
                      "[load_state_dict] the state must have the module's shapes, but first.bias is [3] for "
                      "[2], second.calls "
                      "is [1] for []");
  }
  SECTION("integers for numbers") {
    state[7].second = Tensor::zeros({}, DType::i32);
    CHECK_THROWS_WITH(load_state_dict(module, state),
                      "[load_state_dict] the state must have the module's element types or f32 for f64, but "
                      "second.calls is "
                      "i32 for i64");
  }
  CHECK(all_values(module) == before);
}

TEST_CASE("tensors of the module itself are loaded as they were", "[weights]") {
  Pair module(1);
  SECTION("two entries exchanged") {
    std::vector<Named<Tensor>> state = state_dict(module);
    std::swap(state[0].second, state[2].second);
    REQUIRE(state[0].first == "first.weight");
    REQUIRE(state[2].first == "second.weight");
    load_state_dict(module, state);
    CHECK(state_dict(module)[0].second.to_vector<float>() == std::vector<float>(6, 11));
    CHECK(state_dict(module)[2].second.to_vector<float>() == std::vector<float>(6, 1));
  }
  SECTION("one tensor for both") {
    std::vector<Named<Tensor>> state = state_dict(module);
    state[0].second = state[2].second;
    load_state_dict(module, state);
    CHECK(state_dict(module)[0].second.to_vector<float>() == std::vector<float>(6, 11));
    CHECK(state_dict(module)[2].second.to_vector<float>() == std::vector<float>(6, 11));
  }
  SECTION("its own state") {
    const std::vector<double> before = all_values(module);
    load_state_dict(module, state_dict(module));
    CHECK(all_values(module) == before);
  }
}

TEST_CASE("parts of a tensor that is written are loaded as they were", "[weights]") {
  Tensor all = Tensor::from<float>({1, 2, 3}, {3});
  load_state_dict({{"a", all.slice(0, 1)}, {"b", all.slice(1, 2)}, {"c", all.slice(2, 3)}},
                  {{"a", all.slice(2, 3)}, {"b", all.slice(0, 1)}, {"c", all.slice(1, 2)}});
  CHECK(all.to_vector<float>() == std::vector<float>{3, 1, 2});
}
