#pragma once
#include <retrace/nn/module.h>

#include <memory>

namespace retrace {

/// Runs a module so that on a tape only its inputs are kept; backward runs it again from them. Throws
/// ArgumentError for a null module. Chen, Xu, Zhang, Guestrin: "Training deep nets with sublinear memory
/// cost", 2016.
Vars checkpoint(const std::shared_ptr<Module>& module, const Vars& x);
/// The same for one input and one output.
Var checkpoint(const std::shared_ptr<Module>& module, const Var& x);

}  // namespace retrace
