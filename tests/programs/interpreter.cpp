#include "interpreter.h"

#include <retrace/autograd/autocast.h>
#include <retrace/autograd/ops.h>
#include <retrace/core/memory.h>
#include <retrace/nn/optimizer.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>
#include <set>
#include <thread>

#include "bomb.h"
#include "statements.h"

namespace retrace::fuzz {

namespace {

using Modules = std::vector<std::shared_ptr<Module>>;

Numbers numbers_of(const Tensor& x) { return x.to_vector<double>(); }

/// The gradient's numbers; zeros where there is none.
Numbers gradient_numbers(const Tensor& gradient, const Shape& shape) {
  return gradient.defined() ? numbers_of(gradient) : Numbers(static_cast<std::size_t>(shape.numel()));
}

void in_another_thread(const std::function<void()>& f) {
  std::exception_ptr error;
  std::thread([&] {
    try {
      f();
    } catch (...) {
      error = std::current_exception();
    }
  }).join();
  if (error) std::rethrow_exception(error);
}

/// One run of a program.
class Run {
 public:
  Run(const Program& program, const Variant& variant, bool backward, const Displacement& displacement,
      Constants* constants)
      : program_(program),
        variant_(variant),
        backward_(backward),
        displacement_(displacement),
        constants_(constants),
        modules_(build_modules(program, variant)) {
    find_last_uses();
    find_rounded();
    add_parameters();
    make_optimizer();
  }

  void all(Outcome& outcome) {
    for (int step = 0; step < program_.steps; ++step) {
      place_parameters(step);
      run_step(step, outcome);
      note_random_state(outcome);
      if (optimizer_ != nullptr && step + 1 < program_.steps) step_optimizer(step);
    }
    add_gradients();
    for (std::size_t p = 0; p < parameters_.size(); ++p)
      if (!gradients_[p].empty())
        outcome.gradients.push_back(
            {.name = parameters_[p].first, .leaf = program_.statements.size() + p, .numbers = gradients_[p]});
    for (std::size_t m = 0; m < modules_.size(); ++m)
      if (modules_[m] != nullptr)
        for (const auto& [name, buffer] : modules_[m]->named_buffers()) {
          const std::string full_name = fmt::format("m{}.{}", m, name);
          outcome.buffers[full_name] = numbers_of(*buffer);
          if (std::count(rounded_.begin(), rounded_.end(), true) > 0) outcome.rounded.insert(full_name);
        }
  }

 private:
  void find_last_uses() {
    last_use_.assign(program_.statements.size(), 0);
    for (std::size_t s = 0; s < program_.statements.size(); ++s)
      for (const Value& input : program_.statements[s].inputs)
        if (!program_.statements[s].removed) last_use_[static_cast<std::size_t>(input.statement)] = s;
    for (const auto& roots : program_.passes)
      for (const Value& root : roots)
        last_use_[static_cast<std::size_t>(root.statement)] = program_.statements.size();
  }

  /// Statements that depend on gradients of inner tapes, which are equal up to rounding alone.
  void find_rounded() {
    rounded_.assign(program_.statements.size(), false);
    for (std::size_t s = 0; s < program_.statements.size(); ++s) {
      const Statement& statement = program_.statements[s];
      rounded_[s] =
          !statement.removed &&
          (statement.region == Region::inner ||
           std::any_of(statement.inputs.begin(), statement.inputs.end(), [this](const Value& input) {
             return rounded_[static_cast<std::size_t>(input.statement)];
           }));
    }
  }

  /// The parameters among the inputs, then those of modules, each once.
  void add_parameters() {
    std::set<const Parameter*> seen;
    for (std::size_t s = 0; s < program_.statements.size(); ++s) {
      const Statement& statement = program_.statements[s];
      if (statement.removed || (statement.kind != "parameter" && statement.kind != "frozen")) continue;
      Parameter& parameter = inputs_.emplace(s, Parameter(make_input(program_, s))).first->second;
      parameter.set_requires_grad(statement.kind == "parameter");
      add_parameter(fmt::format("v{}", s), parameter);
    }
    for (std::size_t m = 0; m < modules_.size(); ++m)
      if (modules_[m] != nullptr)
        for (const auto& [name, parameter] : modules_[m]->named_parameters())
          if (seen.insert(parameter).second) add_parameter(fmt::format("m{}.{}", m, name), *parameter);
  }

  void add_parameter(std::string name, Parameter& parameter) {
    parameters_.emplace_back(std::move(name), &parameter);
    origins_.push_back(numbers_of(parameter.value()));
    gradients_.emplace_back();
  }

  void make_optimizer() {
    std::vector<Parameter*> trained;
    for (const auto& [name, parameter] : parameters_)
      if (parameter->requires_grad()) trained.push_back(parameter);
    if (program_.optimizer == 0 || trained.empty() || writes_parameters(program_)) return;
    if (program_.optimizer == 1)
      optimizer_ = std::make_unique<SGD>(trained, SgdOptions{.lr = 0.05, .momentum = 0.5});
    else if (program_.optimizer == 2)
      optimizer_ = std::make_unique<Adam>(trained, AdamOptions{.lr = 0.05});
    else
      optimizer_ = std::make_unique<RMSprop>(trained, RmspropOptions{.lr = 0.005});
  }

  /// Steps along gradients that are the same in each run, so that parameters are.
  void step_optimizer(int step) {
    add_gradients();
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      Parameter& parameter = *parameters_[p].second;
      if (!parameter.requires_grad()) continue;
      Tensor gradient(parameter.shape(), DType::f64, Tag::gradient);
      const Displacement direction{.direction = combine(program_.seed, static_cast<std::uint64_t>(step))};
      std::ranges::copy(direction_of(direction, p, origins_[p].size()),
                        gradient.mutable_values<double>().begin());
      parameter.zero_grad();
      parameter.accumulate_grad(gradient);
    }
    optimizer_->step();
    optimizer_->zero_grad();
  }

  /// Adds what parameters have accumulated to the program's gradients.
  void add_gradients() {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      Parameter* parameter = parameters_[p].second;
      if (parameter == nullptr || !parameter->requires_grad()) continue;
      gradients_[p].resize(origins_[p].size());
      const Numbers more =
          gradient_numbers(parameter->has_grad() ? parameter->grad() : Tensor(), parameter->shape());
      for (std::size_t i = 0; i < more.size(); ++i) gradients_[p][i] += more[i];
    }
  }

  /// Without an optimizer, each step has smaller parameters than the one before.
  void place_parameters(int step) {
    if ((step == 0 && displacement_.h == 0) || writes_parameters(program_)) return;
    if (step > 0 && optimizer_ != nullptr) return;
    const double shrink = std::pow(0.9, step);
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      Parameter* parameter = parameters_[p].second;
      if (parameter == nullptr) continue;
      const Numbers direction = parameter->requires_grad() ? direction_of_parameter(p) : Numbers();
      std::span<double> values = parameter->value().mutable_values<double>();
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = shrink * origins_[p][i] + (direction.empty() ? 0 : displacement_.h * direction[i]);
    }
  }

  // Leaves are numbered: watched inputs by their statements, then parameters.
  Numbers direction_of_parameter(std::size_t p) const {
    return direction_of(displacement_, program_.statements.size() + p, origins_[p].size());
  }

  Tensor displaced_input(std::size_t s) const {
    Tensor x = make_input(program_, s);
    if (displacement_.h == 0) return x;
    std::span<double> values = x.mutable_values<double>();
    const Numbers direction = direction_of(displacement_, s, values.size());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += displacement_.h * direction[i];
    return x;
  }

  void run_step(int step, Outcome& outcome) {
    values_.assign(program_.statements.size(), {});
    tape_walked_ = tape_spent_ = false;
    if (!program_.guards_replaced) tape_.reset();
    tape_ = std::make_unique<Tape>();
    Tape& tape = *tape_;
    {
      std::optional<Autocast> autocast;
      if (program_.autocast) autocast.emplace();
      for (std::size_t s = 0; s < program_.statements.size(); ++s)
        if (!program_.statements[s].removed) run_one(s, step, tape, outcome);
      no_tape_.reset();
      inner_tape_.reset();
    }
    if (step == 0 && program_.first_step_unused) return;
    if (program_.drop_modules && !variant_.stored) {
      modules_.assign(modules_.size(), nullptr);
      for (std::size_t p = inputs_.size(); p < parameters_.size(); ++p) parameters_[p].second = nullptr;
    }
    if (program_.reseed_before_backward) manual_seed(program_.seed + 1);
    if (step == 0 && program_.first_step_fails) {
      if (!variant_.stored) fail_backward(tape, outcome);
      for (const auto& [name, parameter] : parameters_) parameter->zero_grad();
      return;
    }
    for (std::size_t pass = 0; pass < program_.passes.size(); ++pass) run_pass(step, pass, tape, outcome);
    if (!backward_) return;
    note_watched(step, tape, outcome);
    if (tape_walked_) note_values_afterwards(step, outcome);
    if (tape_spent_) outcome.still_saved += tape.saved_bytes();
  }

  /// A backward with bombs: it throws if a gradient reaches one.
  void fail_backward(Tape& tape, Outcome outcome) {
    bombs = {.armed = true};
    bool failed = false;
    try {
      for (std::size_t pass = 0; pass < program_.passes.size(); ++pass) run_pass(0, pass, tape, outcome);
    } catch (const std::exception&) {
      if (!bombs.went_off) throw;
      failed = true;
    }
    bombs.armed = false;
    if (bombs.went_off && !failed) throw std::logic_error("a derivative failed, and backward did not");
  }

  void run_one(std::size_t s, int step, Tape& tape, Outcome& outcome) {
    const Statement& statement = program_.statements[s];
    if (statement.kind == "manual_seed") {
      manual_seed(static_cast<std::uint64_t>(statement.numbers[0]));
      return;
    }
    if (statement.region != Region::no_tape) no_tape_.reset();
    if (statement.region != Region::inner) inner_tape_.reset();
    values_[s] = is_input(statement) ? Vars{input(s, tape)} : run_in_region(s);
    for (std::size_t o = 0; o < values_[s].size(); ++o) {
      outcome.values[name_of(s, o, step)] = numbers_of(values_[s][o].value());
      if (rounded_[s]) outcome.rounded.insert(name_of(s, o, step));
    }
    if (program_.drop_values) drop_values(s);
  }

  Var input(std::size_t s, Tape& tape) {
    const Statement& statement = program_.statements[s];
    if (statement.kind == "watch") return tape.watch(displaced_input(s).clone(Tag::activation));
    if (statement.kind == "constant") return make_input(program_, s);
    return inputs_.at(s);
  }

  Vars run_in_region(std::size_t s) {
    const Statement& statement = program_.statements[s];
    Vars inputs;
    for (const Value& value : statement.inputs)
      inputs.push_back(
          values_[static_cast<std::size_t>(value.statement)][static_cast<std::size_t>(value.output)]);
    if (program_.drop_values) drop_values(s, &statement);
    if (statement.region == Region::tape)
      return run_statement(statement, std::move(inputs), modules_, variant_);
    Tensors results = statement.region == Region::no_tape ? without_tape(statement, inputs)
                                                          : on_inner_tape(statement, inputs);
    if (constants_ != nullptr) {
      if (constants_->given)
        for (Tensor& result : results) result = constants_->tensors[constants_used_++];
      else
        for (const Tensor& result : results) constants_->tensors.push_back(result.clone(Tag::data));
    }
    return Vars(results.begin(), results.end());
  }

  /// Whether a guard ends after the next one of its kind was made. In the stored run it ends before.
  bool guards_replaced() const { return program_.guards_replaced && !variant_.stored; }

  Tensors without_tape(const Statement& statement, const Vars& inputs) {
    if (!guards_replaced()) no_tape_.reset();
    no_tape_ = std::make_unique<NoTape>();
    Tensors results;
    for (const Var& y : run_statement(statement, inputs, modules_, variant_)) results.push_back(y.value());
    return results;
  }

  Tensors on_inner_tape(const Statement& statement, const Vars& inputs) {
    if (!guards_replaced()) inner_tape_.reset();
    inner_tape_ = std::make_unique<Tape>();
    Tape& tape = *inner_tape_;
    Vars leaves;
    for (const Var& x : inputs) leaves.push_back(tape.watch(x.value().clone(Tag::activation)));
    Vars roots;
    Tensors dys;
    for (const Var& y : run_statement(statement, leaves, modules_, variant_)) {
      if (y.place().tape == 0) continue;
      roots.push_back(y);
      dys.push_back(Tensor::full(y.shape(), 0.5, DType::f64, Tag::gradient));
    }
    if (!roots.empty()) tape.backward(roots, dys);
    Tensors gradients;
    for (const Var& leaf : leaves) {
      const Tensor gradient = tape.grad(leaf);
      gradients.push_back(gradient.defined() ? gradient
                                             : Tensor::zeros(leaf.shape(), DType::f64, Tag::gradient));
    }
    return gradients;
  }

  /// Ends the variables whose last use is statement s; with `before`, those of its inputs.
  void drop_values(std::size_t s, const Statement* before = nullptr) {
    if (before == nullptr) {
      if (last_use_[s] == 0 && program_.statements[s].kind != "watch") values_[s].clear();
      return;
    }
    for (const Value& input : before->inputs)
      if (last_use_[static_cast<std::size_t>(input.statement)] == s &&
          program_.statements[static_cast<std::size_t>(input.statement)].kind != "watch")
        values_[static_cast<std::size_t>(input.statement)].clear();
  }

  void run_pass(int step, std::size_t pass, Tape& tape, Outcome& outcome) {
    Vars roots;
    Tensors dys;
    for (const Value& value : program_.passes[pass]) {
      const Var& y =
          values_[static_cast<std::size_t>(value.statement)][static_cast<std::size_t>(value.output)];
      if (y.place().tape == 0) continue;  // a parameter itself, or all that it depends on is frozen
      roots.push_back(y);
      outcome.roots.push_back({value, step});
      const bool scalar = program_.passes[pass].size() == 1 && roots.back().shape().rank() == 0;
      Random random(
          combine(combine(program_.seed, pass), static_cast<std::uint64_t>(step * 64 + value.output)));
      Tensor dy(roots.back().shape(), DType::f64, Tag::gradient);
      for (double& number : dy.mutable_values<double>()) number = scalar ? 1 : random.uniform(-1, 1);
      add_to_objective(outcome, dy,
                       outcome.values.at(name_of(static_cast<std::size_t>(value.statement),
                                                 static_cast<std::size_t>(value.output), step)));
      dys.push_back(std::move(dy));
    }
    if (!backward_ || roots.empty()) return;
    tape_walked_ = true;
    tape_spent_ = pass + 1 == program_.passes.size();
    const BackwardOptions options{.retain = pass + 1 < program_.passes.size()};
    const auto backward = [&] {
      if (roots.size() == 1 && roots[0].shape().rank() == 0)
        tape.backward(roots[0], options);
      else
        tape.backward(roots, std::move(dys), options);
    };
    if (program_.other_thread)
      in_another_thread(backward);
    else
      backward();
  }

  static void add_to_objective(Outcome& outcome, const Tensor& dy, const Numbers& y) {
    const std::span<const double> weights = dy.values<double>();
    for (std::size_t i = 0; i < y.size(); ++i) {
      outcome.objective += weights[i] * y[i];
      outcome.magnitude += std::abs(weights[i] * y[i]);
    }
  }

  void note_watched(int step, Tape& tape, Outcome& outcome) {
    for (std::size_t s = 0; s < program_.statements.size(); ++s) {
      if (program_.statements[s].removed || program_.statements[s].kind != "watch" || values_[s].empty())
        continue;
      const Var& x = values_[s][0];
      outcome.gradients.push_back(
          {.name = name_of(s, 0, step), .leaf = s, .numbers = gradient_numbers(tape.grad(x), x.shape())});
    }
  }

  void note_values_afterwards(int step, Outcome& outcome) {
    for (std::size_t s = 0; s < values_.size(); ++s)
      for (std::size_t o = 0; o < values_[s].size(); ++o) {
        const Tensor& x = values_[s][o].value();
        if (x.storage().released())
          outcome.left_released.push_back(name_of(s, o, step));
        else if (program_.statements[s].kind != "parameter" && program_.statements[s].kind != "frozen")
          outcome.afterwards[name_of(s, o, step)] = numbers_of(x);
      }
  }

  static void note_random_state(Outcome& outcome) {
    const RandomStream stream = next_stream();
    const GeneratorState state = generator_state();
    for (const std::uint64_t number : {stream.seed, stream.stream, state.seed, state.step})
      outcome.draws.push_back(number);
  }

  static std::string name_of(std::size_t statement, std::size_t output, int step) {
    return fmt::format("v{}{}{}", statement, output > 0 ? fmt::format("[{}]", output) : "",
                       step > 0 ? fmt::format(" of step {}", step) : "");
  }

  const Program& program_;
  const Variant& variant_;
  bool backward_;
  Displacement displacement_;
  Constants* constants_;
  std::size_t constants_used_ = 0;
  Modules modules_;
  std::map<std::size_t, Parameter> inputs_{};
  std::vector<Named<Parameter*>> parameters_{};
  std::vector<Numbers> origins_{};
  std::vector<std::size_t> last_use_{};
  std::vector<bool> rounded_{};
  bool tape_walked_ = false;  // a backward of the step has run: wrappers bring back what they have released
  bool tape_spent_ = false;   // its last one has
  std::vector<Vars> values_{};
  std::vector<Numbers> gradients_{};  // of parameters, over the steps that an optimizer has seen
  std::unique_ptr<Optimizer> optimizer_{};
  std::unique_ptr<Tape> tape_{};
  std::unique_ptr<NoTape> no_tape_{};   // of statements without a tape
  std::unique_ptr<Tape> inner_tape_{};  // of statements on an inner one
};

}  // namespace

Numbers direction_of(const Displacement& displacement, std::size_t leaf, std::size_t size) {
  Numbers direction(size);
  if (displacement.leaf >= 0 && static_cast<std::size_t>(displacement.leaf) != leaf) return direction;
  Random random(combine(displacement.direction, leaf));
  for (double& number : direction) number = random.uniform(-1, 1);
  return direction;
}

Outcome run_program(const Program& program, const Variant& variant, bool backward,
                    const Displacement& displacement, Constants* constants) {
  manual_seed(program.seed);
  Outcome outcome;
  const std::int64_t before = ledger().live();
  Run(program, variant, backward, displacement, constants).all(outcome);
  outcome.leaked = ledger().live() - before;
  if (constants != nullptr && !constants->given)
    for (const Tensor& x : constants->tensors) outcome.leaked -= block_bytes(x.bytes());
  return outcome;
}

}  // namespace retrace::fuzz
