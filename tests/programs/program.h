#pragma once
// A random program as data: modules, then statements. It can be printed, run in several ways, and shortened.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace retrace::fuzz {

/// A stream of random numbers of its own (splitmix64): a program depends on its seed, not on the library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits();
  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * unit(); }
  /// Uniform in {low, ..., high}.
  std::int64_t integer(std::int64_t low, std::int64_t high);
  bool chance(double probability) { return unit() < probability; }
  template <class T>
  const T& choose(const std::vector<T>& items) {
    return items[static_cast<std::size_t>(integer(0, static_cast<std::int64_t>(items.size()) - 1))];
  }

 private:
  std::uint64_t state_;
};

/// A new seed from two numbers.
std::uint64_t combine(std::uint64_t a, std::uint64_t b);

/// One module: a row of the table in modules.cpp, with its arguments. The same index used twice is one object
/// that two parents share.
struct ModuleSpec {
  std::string kind{};
  std::vector<double> numbers{};
  std::vector<int> children{};  // indices of earlier modules; -1: none
  bool evaluation = false;      // it and all below it
  bool frozen = false;
  bool zero = false;  // its parameters begin at 0
};

/// An output of an earlier statement.
struct Value {
  int statement = 0;
  int output = 0;
  bool operator==(const Value&) const = default;
};

/// Where a statement runs.
enum class Region : std::uint8_t {
  tape,     // the program's
  no_tape,  // its results are constants
  inner     // on a tape inside: its results are the gradients of its inputs, as constants
};

/// An operation, a call of a module, an input, or `manual_seed`.
struct Statement {
  std::string kind{};  // a row of the table in ops.cpp, or one of the kinds that interpreter.cpp lists
  std::vector<Value> inputs{};
  std::vector<double> numbers{};
  int module = -1;
  Region region = Region::tape;
  int outputs = 1;
  bool removed = false;  // by the shrinker
};

struct Program {
  std::uint64_t seed = 0;
  std::vector<ModuleSpec> modules{};
  std::vector<Statement> statements{};
  /// One entry for each backward: its roots. All but the last one retain the tape.
  std::vector<std::vector<Value>> passes{};
  bool zeros = false;  // half of the inputs' elements are 0, where ReLU has its kink, and some weights
  int steps = 1;
  bool first_step_unused = false;       // the first step's tape ends without a backward
  bool first_step_fails = false;        // the first step's backward fails where it meets a bomb
  bool guards_replaced = false;         // guards of the same kind end after the next one was made
  int optimizer = 0;                    // that runs between steps: none, SGD, Adam or RMSprop
  bool reseed_before_backward = false;  // manual_seed between forward and backward
  bool other_thread = false;            // backward runs on another thread
  bool drop_values = false;             // variables end after their last use
  bool drop_modules = false;            // modules end before backward
  bool autocast = false;                // which leaves f64 alone
};

/// The program as text, one line a module, statement and backward.
std::string to_text(const Program& program);

}  // namespace retrace::fuzz
