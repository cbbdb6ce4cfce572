#pragma once
#include <retrace/nn/module.h>

#include <memory>
#include <vector>

#include "program.h"

namespace retrace::fuzz {

/// How the modules of a program are built.
struct Variant {
  bool stored = false;  // wrappers disabled, couplings by their formula, stages stored, nothing checkpointed
  /// Of noise that is added, if stored, wherever the program would rebuild an activation: what rounding does
  /// to a rebuilt value, magnified.
  double jitter = 0;
  std::uint64_t jitter_seed = 0;
};

/// The program's modules, in f64, with numbers that depend on its seed alone. Those that no statement reaches
/// are null.
std::vector<std::shared_ptr<Module>> build_modules(const Program& program, const Variant& variant);

/// The modules that a program reaches.
std::vector<bool> used_modules(const Program& program);

}  // namespace retrace::fuzz
