#include "generator.h"

#include <retrace/autograd/tape.h>
#include <retrace/core/random.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "interpreter.h"
#include "module_generator.h"
#include "modules.h"
#include "ops.h"
#include "statements.h"

namespace retrace::fuzz {

namespace {

constexpr double kLargest = 20;  // of a value: beyond it, differences lose digits

class Generator final : public Source {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed), modules_(program_, random_) {
    program_.seed = seed;
    program_.zeros = random_.chance(0.15);
  }

  Program make() {
    for (std::int64_t n = random_.integer(1, 2); n > 0; --n) add_input(random_shape());
    for (std::int64_t n = random_.integer(2, 9); n > 0; --n) add_statement();
    choose_passes();
    choose_options();
    return program_;
  }

  Random& random() override { return random_; }
  std::optional<Value> value(const std::function<bool(const Shape&)>& fits) override {
    std::vector<Value> fitting;
    for (const Live& live : live_)
      if (!live.dead && fits(live.var.shape())) fitting.push_back(live.value);
    if (fitting.empty()) return std::nullopt;
    // rather a late value than an early one, so that programs are deep
    return random_.chance(0.5) ? fitting.back() : random_.choose(fitting);
  }
  Value input(const Shape& shape) override {
    add_input(shape);
    return live_.back().value;
  }
  Shape shape(const Value& value) const override { return find(value).var.shape(); }

 private:
  struct Live {
    Value value;
    Var var;  // stored
    /// On the tape, as written: a module that is recorded as one node puts all its outputs there, even those
    /// that a stored run knows to be constants.
    bool recorded;
    bool dead = false;  // a wrapper may have released it
  };

  const Live& find(const Value& value) const {
    return *std::find_if(live_.begin(), live_.end(), [&](const Live& live) { return live.value == value; });
  }

  Shape random_shape() {
    const std::int64_t n = random_.integer(1, 3);
    const std::int64_t channels = 2 * random_.integer(1, 3);
    const double kind = random_.unit();
    if (kind < 0.6) return {n, channels, random_.integer(1, 4), random_.integer(2, 4)};
    return kind < 0.8 ? Shape{n, 2 * random_.integer(1, 4)} : Shape{n, channels, 2 * random_.integer(1, 2)};
  }

  void add_input(const Shape& shape) {
    const double kind = random_.unit();
    Statement statement;
    statement.kind = kind < 0.6 ? "watch" : kind < 0.85 ? "parameter" : kind < 0.93 ? "constant" : "frozen";
    statement.numbers.assign(shape.begin(), shape.end());
    program_.statements.push_back(statement);
    const auto s = static_cast<int>(program_.statements.size()) - 1;
    const Tensor x = make_input(program_, program_.statements.size() - 1);
    live_.push_back({{s, 0}, kind < 0.85 ? tape_.watch(x) : Var(x), kind < 0.85});
  }

  void add_statement() {
    const double kind = random_.unit();
    if (kind < 0.04)
      program_.statements.push_back(
          {.kind = "manual_seed", .numbers = {static_cast<double>(random_.integer(1, 99))}});
    else if (kind < 0.45)
      add_operation();
    else
      add_call();
  }

  void add_operation() {
    static const std::vector<std::string> names = [] {
      std::vector<std::string> all;
      for (const auto& [name, row] : op_rows()) all.push_back(name);
      return all;
    }();
    Statement statement;
    statement.kind = random_.choose(names);
    if (op_rows().at(statement.kind).choose(*this, statement)) finish(std::move(statement), false);
  }

  void add_call() {
    if (random_.chance(0.05)) return add_lookup();
    if (random_.chance(0.12)) return add_call_of_two();
    const std::optional<Value> x =
        value([](const Shape& shape) { return shape.rank() >= 2 && shape.rank() <= 4; });
    if (!x) return;
    const Shape shape = find(*x).var.shape();
    Statement statement{.kind = "call", .inputs = {*x}};
    const double kind = random_.unit();
    bool releases = false;
    if (kind < 0.1) {
      statement.module = modules_.any(shape);
    } else if (kind < 0.3) {
      statement.module = modules_.preserving(shape);
      statement.kind = "checkpoint";
    } else if (kind < 0.5) {
      statement.module = modules_.preserving(shape);
    } else if (kind < 0.6) {
      statement.module = modules_.invertible(shape);
      if (random_.chance(0.5)) statement.kind = "inverse";
    } else {
      statement.module = modules_.wrapper(shape);
      if (random_.chance(0.3)) statement.kind = "inverse";
    }
    releases = statement.kind != "checkpoint";
    finish(std::move(statement), releases);
  }

  /// Vectors of a table.
  void add_lookup() {
    const std::int64_t vectors = random_.integer(2, 5);
    finish({.kind = "lookup",
            .numbers = {static_cast<double>(random_.integer(1, 99)), static_cast<double>(vectors),
                        random_.chance(0.5) ? 1.0 : 0.0},
            .module = modules_.table(vectors)},
           false);
  }

  /// A call of a module with two streams.
  void add_call_of_two() {
    const std::optional<Value> x =
        value([](const Shape& shape) { return shape.rank() >= 2 && shape.rank() <= 4; });
    if (!x) return;
    const Shape half = find(*x).var.shape();
    const std::optional<Value> y = value([&](const Shape& shape) { return shape == half; });
    // a wrapper around one stream would release the other
    const bool shared = find(*x).var.value().shares_storage(find(*y).var.value());
    Statement statement{.kind = "call", .inputs = {*x, shared ? input(half) : *y}};
    const double kind = random_.unit();
    if (kind < 0.3)
      statement.kind = "inverse";
    else if (kind < 0.5)
      statement.kind = "checkpoint";
    statement.module = modules_.two_streams(half);
    finish(std::move(statement), statement.kind != "checkpoint");
  }

  /// Runs the statement and takes it into the program, if its results are numbers of an ordinary size.
  void finish(Statement statement, bool may_release) {
    if (!statement.inputs.empty() && random_.chance(0.1))
      statement.region = random_.chance(0.5) ? Region::no_tape : Region::inner;
    Vars inputs;
    for (const Value& value : statement.inputs) inputs.push_back(find(value).var);
    program_.statements.push_back(statement);
    const int s = static_cast<int>(program_.statements.size()) - 1;
    const Variant stored{.stored = true};
    const Vars results = run_statement(statement, inputs, build_modules(program_, stored), stored);
    if (!std::all_of(results.begin(), results.end(), is_ordinary)) {
      program_.statements.pop_back();
      return;
    }
    if (statement.region == Region::tape && may_release) mark_dead(statement.inputs);
    if (statement.region == Region::inner) {
      program_.statements.back().outputs = static_cast<int>(inputs.size());
      for (int i = 0; i < static_cast<int>(inputs.size()); ++i)
        live_.push_back({{s, i}, Var(inputs[static_cast<std::size_t>(i)].value().clone(Tag::data)), false});
      return;
    }
    program_.statements.back().outputs = static_cast<int>(results.size());
    const bool on_tape = statement.region == Region::tape;
    const bool recorded =
        on_tape && (std::any_of(results.begin(), results.end(), [](const Var& y) { return !y.constant(); }) ||
                    std::any_of(statement.inputs.begin(), statement.inputs.end(),
                                [this](const Value& input) { return find(input).recorded; }));
    for (int i = 0; i < static_cast<int>(results.size()); ++i) {
      const Var& y = results[static_cast<std::size_t>(i)];
      live_.push_back({{s, i}, on_tape ? y : Var(y.value()), recorded});
    }
  }

  static bool is_ordinary(const Var& y) {
    const std::vector<double> values = y.value().to_vector<double>();
    return std::all_of(values.begin(), values.end(), [](double v) { return std::abs(v) < kLargest; });
  }

  /// Values that share bytes with what a wrapper takes are not read again.
  void mark_dead(const std::vector<Value>& inputs) {
    for (Live& live : live_)
      for (const Value& input : inputs) {
        const Live& x = find(input);
        if (x.recorded && live.var.value().shares_storage(x.var.value())) live.dead = true;
      }
  }

  void choose_passes() {
    std::vector<Value> roots;
    for (const Live& live : live_) {
      const Statement& statement = program_.statements[static_cast<std::size_t>(live.value.statement)];
      if (!live.var.constant() && statement.region == Region::tape && !is_input(statement))
        roots.push_back(live.value);
    }
    if (roots.empty()) return;
    // a reversible stage allows one backward
    const bool once = has("Stage") || has("ResidualNetwork");
    for (std::int64_t n = !once && random_.chance(0.25) ? 2 : 1; n > 0; --n) {
      std::vector<Value> pass = {random_.chance(0.7) ? roots.back() : random_.choose(roots)};
      while (random_.chance(0.4) && pass.size() < 3) {
        const Value& more = random_.choose(roots);
        if (std::find(pass.begin(), pass.end(), more) == pass.end()) pass.push_back(more);
      }
      program_.passes.push_back(pass);
    }
  }

  bool has(std::string_view kind) const {
    return std::any_of(program_.modules.begin(), program_.modules.end(),
                       [&](const ModuleSpec& spec) { return spec.kind == kind; }) ||
           std::any_of(program_.statements.begin(), program_.statements.end(),
                       [&](const Statement& statement) { return statement.kind == kind; });
  }

  void choose_options() {
    program_.first_step_fails = (has("Bomb") || has("bomb")) && random_.chance(0.7);
    program_.steps = program_.first_step_fails || random_.chance(0.2) ? 2 : 1;
    program_.first_step_unused = program_.steps > 1 && !program_.first_step_fails && random_.chance(0.2);
    if (program_.steps > 1 && random_.chance(0.5))
      program_.optimizer = static_cast<int>(random_.integer(1, 3));
    program_.guards_replaced = random_.chance(0.3);
    program_.reseed_before_backward = random_.chance(0.3);
    program_.other_thread = random_.chance(0.15);
    program_.drop_values = random_.chance(0.4);
    program_.autocast = random_.chance(0.1);
    program_.drop_modules = program_.steps == 1 && random_.chance(0.04);
  }

  Program program_;
  Random random_;
  ModuleGenerator modules_;
  Tape tape_;
  std::vector<Live> live_{};
};

}  // namespace

Program generate(std::uint64_t seed) { return Generator(seed).make(); }

}  // namespace retrace::fuzz
