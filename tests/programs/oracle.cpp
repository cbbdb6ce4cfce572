#include "oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "interpreter.h"
#include "statements.h"

namespace retrace::fuzz {

namespace {

/// Of the noise that stands for rounding, relative to values near 1. A rebuilt value differs by less: some
/// hundred roundings of 2^-53.
constexpr double kJitter = 1e-12;
/// How often the noise is drawn, with either sign: where a value is 0, one of the two moves it over a kink.
constexpr int kJitters = 2;
/// Sums in another order.
constexpr double kRounding = 1e-11;
/// A gradient that noise moves by more than this part of it has no digits to compare.
constexpr double kLost = 1e-5;

double largest(const Numbers& numbers) {
  double result = 0;
  for (const double number : numbers) result = std::max(result, std::abs(number));
  return result;
}

/// The largest difference; infinite for a NaN and for other sizes.
double distance(const Numbers& a, const Numbers& b) {
  if (a.size() != b.size()) return INFINITY;
  double result = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (std::isnan(difference)) return INFINITY;
    result = std::max(result, difference);
  }
  return result;
}

/// What the library refuses in words, because it cannot be right.
bool is_refusal(const std::string& error, const Program& program) {
  const auto says = [&](std::string_view text) { return error.find(text) != std::string::npos; };
  if (says("random numbers must be drawn once under each name")) return true;
  if (says("must have a scale s that is finite and not 0")) return true;  // a sigmoid of -800, in both runs
  // A module that writes in forward, and stands in a second place, may write there between forward and
  // backward.
  const std::string text = to_text(program);
  const bool writes =
      text.find("ActNorm(") != std::string::npos || text.find("MaxNorm(") != std::string::npos;
  return writes && (says("must be in backward as forward left them") ||
                    says("forward must write a parameter or buffer before it reads it"));
}

std::string where_they_differ(const Numbers& got, const Numbers& expected) {
  std::size_t worst = 0;
  for (std::size_t i = 0; i < std::min(got.size(), expected.size()); ++i)
    if (!(std::abs(got[i] - expected[i]) <= std::abs(got[worst] - expected[worst]))) worst = i;
  if (got.size() != expected.size()) return fmt::format("{} numbers, not {}", got.size(), expected.size());
  return fmt::format("element {} is {:.17g}, not {:.17g}", worst, got[worst], expected[worst]);
}

class Check {
 public:
  explicit Check(const Program& program) : program_(program) {}

  Verdict all() {
    if (!run_stored()) return verdict_;
    const std::optional<Outcome> written = attempt("the program", {}, program_);
    if (!written) return verdict_;
    compare_exact(*written);
    compare_bytes(*written);
    if (!measure_rebuilding()) return verdict_;
    if (!measure_gradients()) return verdict_;
    compare_rounded(*written);
    compare_rebuilt(*written);
    compare_gradients(*written);
    if (verdict_.kind.empty()) compare_with_differences();
    return verdict_;
  }

 private:
  void found(const std::string& kind, const std::string& text) {
    if (!verdict_.kind.empty()) return;
    verdict_.kind = kind;
    verdict_.text = text;
  }

  std::optional<Outcome> attempt(const std::string& who, const Variant& variant, const Program& program,
                                 Constants* constants = nullptr) {
    try {
      return run_program(program, variant, true, {}, constants);
    } catch (const std::exception& error) {
      if (is_refusal(error.what(), program_)) {
        verdict_.gradients_checked = verdict_.differences_checked = false;
        return std::nullopt;
      }
      found("throws in " + who, fmt::format("{} throws: {}", who, error.what()));
      return std::nullopt;
    }
  }

  /// Runs stored. Roots that are not recorded there are taken out of the program: a module that is recorded
  /// as one node, such as a checkpoint, has outputs on the tape that a stored run knows to be constants, or
  /// to be the module's input.
  bool run_stored() {
    const auto run = [this] {
      constants_ = {};
      stored_ = attempt("the stored run", {.stored = true}, program_, &constants_);
      return stored_.has_value();
    };
    if (!run()) return false;
    const auto is_constant = [&](const Value& value) {
      return std::none_of(stored_->roots.begin(), stored_->roots.end(),
                          [&](const Root& root) { return root.value == value; });
    };
    std::size_t others = 0;
    for (auto& roots : program_.passes) others += std::erase_if(roots, is_constant);
    return others == 0 || run();
  }

  void compare_exact(const Outcome& written) {
    compare_all("value", written.values, stored_->values);
    compare_all("buffer", written.buffers, stored_->buffers);
    if (written.roots != stored_->roots)
      found("roots", "gradients flow from fewer roots than in the stored run");
    if (written.draws != stored_->draws)
      found("random numbers",
            "the random numbers after the step, or the generator's state, are not the stored run's");
  }

  /// Bitwise, but for what depends on gradients of inner tapes. What modules had that have ended is not
  /// compared.
  void compare_all(const std::string& kind, const std::map<std::string, Numbers>& written,
                   const std::map<std::string, Numbers>& stored) {
    for (const auto& [name, expected] : stored) {
      const auto got = written.find(name);
      if (stored_->rounded.contains(name) || got == written.end() || got->second == expected) continue;
      found(kind, fmt::format("{} {}: {}", kind, name, where_they_differ(got->second, expected)));
    }
  }

  void compare_bytes(const Outcome& written) {
    compare_bytes("stored", *stored_);
    compare_bytes("as written", written);
  }
  void compare_bytes(const char* who, const Outcome& outcome) {
    if (outcome.leaked != 0)
      found("leak", fmt::format("{}: {} bytes are left at the end", who, outcome.leaked));
    if (outcome.still_saved != 0)
      found("saved", fmt::format("{}: tapes keep {} bytes after backward", who, outcome.still_saved));
  }

  Variant noisy(bool stored, double size, int draw) const {
    return {.stored = stored,
            .jitter = size,
            .jitter_seed = combine(program_.seed, static_cast<std::uint64_t>(draw))};
  }

  /// Measures how far noise in what the program rebuilds values from moves each of them, and so how much
  /// larger than its cause an error in a rebuilt value is. All variables are held, to be seen.
  bool measure_rebuilding() {
    Program held = program_;
    held.drop_values = false;
    for (int j = 0; j < kJitters; ++j) {
      const std::optional<Outcome> above = attempt("the program with noise", noisy(false, kJitter, j), held);
      const std::optional<Outcome> below = attempt("the program with noise", noisy(false, -kJitter, j), held);
      if (!above || !below) return false;
      measure_rounded(*above, *below);
      measure_sensitivity(*above, *below);
      for (const auto& [name, numbers] : above->afterwards) {
        const double moved = distance(numbers, below->afterwards.at(name)) / 2;
        rebuilding_[name] = std::max(rebuilding_[name], moved);
        amplification_ =
            std::max(amplification_, moved / (kJitter * (1 + largest(stored_->values.at(name)))));
      }
    }
    return true;
  }

  /// Measures how far noise moves what depends on gradients of inner tapes: noise in either run, for a
  /// coupling that no wrapper surrounds rebuilds by a hook of its own, where only the stored run has noise.
  void measure_rounded(const Outcome& a, const Outcome& b) {
    for (const auto& numbers : {&Outcome::values, &Outcome::buffers})
      for (const auto& [name, value] : a.*numbers)
        if (stored_->rounded.contains(name))
          rounding_[name] = std::max(rounding_[name], distance(value, (b.*numbers).at(name)));
  }

  /// Compares what noise of that size moves by `moved`. False if that leaves no digits to compare.
  bool compare(const std::string& kind, const std::string& what, const Numbers& got, const Numbers& expected,
               double scale, double noise, double moved) {
    if (moved > kLost * scale) return false;
    if (distance(got, expected) > kRounding * scale + 100 * moved)
      found(kind, fmt::format("{}: {} (noise of {:g} moves it by {:.3g})", what,
                              where_they_differ(got, expected), noise, moved));
    return true;
  }

  void compare_rounded(const Outcome& written) {
    compare_rounded("value", written.values, stored_->values);
    compare_rounded("buffer", written.buffers, stored_->buffers);
  }
  void compare_rounded(const std::string& kind, const std::map<std::string, Numbers>& written,
                       const std::map<std::string, Numbers>& stored) {
    for (const auto& [name, moved] : rounding_) {
      const auto got = written.find(name);
      if (got == written.end()) continue;
      const Numbers& expected = stored.at(name);
      if (!compare(kind, kind + " " + name, got->second, expected, 1 + largest(expected), kJitter, moved))
        values_lost_ = true;
    }
  }

  void compare_rebuilt(const Outcome& written) {
    if (!written.left_released.empty())
      found("released", fmt::format("{} is released after backward", written.left_released.front()));
    for (const auto& [name, numbers] : written.afterwards) {
      const Numbers& expected = written.values.at(name);
      if (!compare("rebuilt", name + " after backward", numbers, expected, 1 + largest(expected), kJitter,
                   rebuilding_.at(name)))
        verdict_.gradients_checked = false;
    }
  }

  /// Measures how far errors in rebuilt values move each gradient: a replay may also read what another
  /// module rebuilt, so noise in the program counts, too.
  bool measure_gradients() {
    for (int j = 0; j < kJitters; ++j)
      for (const double size : {kJitter * amplification_, -kJitter * amplification_}) {
        const std::optional<Outcome> moved =
            attempt("the stored run with noise", noisy(true, size, j), program_);
        if (!moved) return false;
        measure_rounded(*moved, *stored_);
        measure_sensitivity(*moved, *stored_);
      }
    return true;
  }

  void measure_sensitivity(const Outcome& a, const Outcome& b) {
    for (const Gradient& gradient : a.gradients)
      if (const Gradient* other = find(b.gradients, gradient.name))
        sensitivity_[gradient.name] =
            std::max(sensitivity_[gradient.name], distance(gradient.numbers, other->numbers));
  }

  static const Gradient* find(const std::vector<Gradient>& gradients, const std::string& name) {
    const auto found = std::find_if(gradients.begin(), gradients.end(),
                                    [&](const Gradient& gradient) { return gradient.name == name; });
    return found == gradients.end() ? nullptr : &*found;
  }

  void compare_gradients(const Outcome& written) {
    if (values_lost_) {  // the two runs do not differentiate at the same point
      verdict_.gradients_checked = false;
      return;
    }
    double scale = 1e-3;
    for (const Gradient& gradient : stored_->gradients) scale = std::max(scale, largest(gradient.numbers));
    for (const Gradient& expected : stored_->gradients) {
      const Gradient* got = find(written.gradients, expected.name);
      if (got == nullptr) continue;  // it ended with its module
      if (!compare("gradient", "the gradient of " + expected.name, got->numbers, expected.numbers, scale,
                   kJitter * amplification_, sensitivity_.at(expected.name)))
        verdict_.gradients_checked = false;
    }
  }

  double objective(const Displacement& displacement) {
    return run_program(program_, {.stored = true}, false, displacement, &constants_).objective;
  }

  double slope(Displacement displacement, double h) {
    displacement.h = h;
    const double above = objective(displacement);
    displacement.h = -h;
    return (above - objective(displacement)) / (2 * h);
  }

  void compare_with_differences() {
    if (program_.passes.empty() || !has_true_derivative(program_)) {
      verdict_.differences_checked = false;
      return;
    }
    constants_.given = true;
    std::set<std::size_t> leaves;
    for (const Gradient& gradient : stored_->gradients) leaves.insert(gradient.leaf);
    compare_along({.h = 0, .leaf = -1, .direction = program_.seed}, "all leaves");
    for (const std::size_t leaf : leaves)
      compare_along({.h = 0, .leaf = static_cast<int>(leaf), .direction = program_.seed}, name_of(leaf));
  }

  std::string name_of(std::size_t leaf) const {
    for (const Gradient& gradient : stored_->gradients)
      if (gradient.leaf == leaf) return gradient.name;
    return "?";
  }

  void compare_along(const Displacement& displacement, const std::string& name) {
    double expected = 0;
    double scale = 1e-3;
    for (const Gradient& gradient : stored_->gradients) {
      const Numbers direction = direction_of(displacement, gradient.leaf, gradient.numbers.size());
      for (std::size_t i = 0; i < direction.size(); ++i) {
        expected += gradient.numbers[i] * direction[i];
        scale = std::max(scale, std::abs(gradient.numbers[i] * direction[i]));
      }
    }
    compare_slopes(displacement, name, expected, scale);
  }

  /// Compares with steps that get smaller: near a kink only small ones give the derivative, and where none
  /// does, there is nothing to compare.
  void compare_slopes(const Displacement& displacement, const std::string& name, double expected,
                      double scale) {
    std::string disagreement;
    for (const double h : {1e-3, 1e-5, 3e-7}) {
      const double coarse = slope(displacement, 2 * h);
      const double fine = slope(displacement, h);
      const double rounding = 1e-14 * (stored_->magnitude + 1) / h;
      const double error = std::abs(coarse - fine) + rounding;
      const double best = (4 * fine - coarse) / 3;
      if (error > 1e-4 * (scale + stored_->magnitude)) {
        disagreement.clear();
        continue;
      }
      if (std::abs(expected - best) <= 10 * error + 1e-9 * scale) return;
      disagreement =
          fmt::format("along {}: the stored tape gives {:.12g}, differences give {:.12g} +- {:.2g}", name,
                      expected, best, error);
    }
    if (disagreement.empty())
      verdict_.differences_checked = false;
    else
      found("derivative", disagreement);
  }

  Program program_;
  Verdict verdict_{};
  Constants constants_{};
  std::optional<Outcome> stored_{};
  std::map<std::string, double> rebuilding_{};   // how far noise moves rebuilt values
  std::map<std::string, double> rounding_{};     // and values that depend on gradients of inner tapes
  bool values_lost_ = false;                     // some of these have no digits to compare
  double amplification_ = 1;                     // of an error, in the rebuilding
  std::map<std::string, double> sensitivity_{};  // how far noise moves gradients
};

}  // namespace

Verdict check(const Program& program) { return Check(program).all(); }

}  // namespace retrace::fuzz
