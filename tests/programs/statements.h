#pragma once
#include <retrace/autograd/var.h>
#include <retrace/nn/module.h>

#include <memory>
#include <vector>

#include "modules.h"
#include "program.h"

namespace retrace::fuzz {

/// Runs one statement other than an input or manual_seed.
Vars run_statement(const Statement& statement, Vars inputs,
                   const std::vector<std::shared_ptr<Module>>& modules, const Variant& variant);
/// Whether a statement is an input of the program.
bool is_input(const Statement& statement);
/// Numbers of the program's input `statement`.
Tensor make_input(const Program& program, std::size_t statement);
/// Whether forward writes parameters.
bool writes_parameters(const Program& program);
/// Whether finite differences are the derivative: no parameter that forward writes, no parameter that inner
/// tapes differentiate, no values that are 0 at a kink, and no rule that differs from the derivative.
bool has_true_derivative(const Program& program);

}  // namespace retrace::fuzz
