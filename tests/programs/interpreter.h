#pragma once
#include <retrace/autograd/tape.h>
#include <retrace/core/random.h>
#include <retrace/nn/module.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "modules.h"
#include "program.h"

namespace retrace::fuzz {

using Numbers = std::vector<double>;

/// Where the leaves are: at their own values plus h times a random direction, in one leaf or in all.
struct Displacement {
  double h = 0;
  int leaf = -1;  // -1: all
  std::uint64_t direction = 0;
};

/// The gradient of a leaf in one step, or of a parameter in all of them; zeros where none arrived.
struct Gradient {
  std::string name{};
  std::size_t leaf = 0;
  Numbers numbers{};
};

/// What a gradient flows from.
struct Root {
  Value value{};
  int step = 0;
  bool operator==(const Root&) const = default;
};

/// What a run of a program gave.
struct Outcome {
  std::map<std::string, Numbers> values{};      // of each output, right after its statement
  std::map<std::string, Numbers> afterwards{};  // of each output that is still held, after backward
  std::set<std::string> rounded{};  // names of values and buffers that depend on gradients of inner tapes
  std::vector<std::string> left_released{};  // outputs that backward has not brought back
  std::vector<Gradient> gradients{};
  std::map<std::string, Numbers> buffers{};
  std::vector<std::uint64_t> draws{};  // streams drawn after each step, and the generator's state
  std::vector<Root> roots{};           // of all passes, without those that are not recorded
  double objective = 0;                // the sum of <dy, y> over the roots of all passes
  double magnitude = 0;                // the sum of |dy y|
  std::int64_t leaked = 0;             // bytes that are alive at the end and were not at the beginning
  std::int64_t still_saved = 0;        // bytes that tapes keep after their last backward
};

/// Constants that a run computes inside of a program, in order: a displaced run takes those of the run at the
/// leaves' own values, for no gradient flows through them.
struct Constants {
  Tensors tensors{};
  bool given = false;
};

/// Runs a program from the beginning. Throws what the library throws.
Outcome run_program(const Program& program, const Variant& variant, bool backward = true,
                    const Displacement& displacement = {}, Constants* constants = nullptr);

/// The direction of a displacement in one leaf.
Numbers direction_of(const Displacement& displacement, std::size_t leaf, std::size_t size);

}  // namespace retrace::fuzz
