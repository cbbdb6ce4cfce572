#pragma once
#include <retrace/nn/module.h>

#include <memory>
#include <vector>

#include "program.h"

namespace retrace::fuzz {

/// How the modules of a program are built.
struct Variant {
  bool stored = false;  // wrappers disabled, couplings by their formula, stages stored, nothing checkpointed
  /// The size of noise: if stored, added to activations that the program would rebuild; else added to what
  /// the program rebuilds them from.
  double jitter = 0;
  std::uint64_t jitter_seed = 0;
};

/// The program's modules, in f64, with numbers that depend on its seed alone. Those that no statement reaches
/// are null.
std::vector<std::shared_ptr<Module>> build_modules(const Program& program, const Variant& variant);

/// The modules that a program reaches.
std::vector<bool> used_modules(const Program& program);

}  // namespace retrace::fuzz
