#pragma once
#include <retrace/nn/module.h>

#include <cstdint>
#include <string>
#include <vector>

namespace retrace {

/// How `is_invertible_module` tries.
struct InvertibilityOptions {
  DType dtype = DType::f32;        ///< of the inputs: that of the parameters
  double atol = 1e-6;              ///< absolute tolerance, beside a relative one of 1e-5
  std::uint64_t random_seed = 42;  ///< of the inputs
};

/// What is_invertible_module found; converts to the answer.
struct InvertibilityReport {
  bool invertible = false;              ///< the answer
  double worst_error = 0;               ///< largest absolute difference, of x and of y
  std::vector<std::string> errors{};    ///< why not: what differs, by how much
  std::vector<std::string> warnings{};  ///< what is worth knowing and no reason to say no
  /// The answer.
  explicit operator bool() const { return invertible; }
};

/// Tries on random inputs, uniform in [0, 1), whether inverse(forward(x)) = x and forward(inverse(y)) = y.
/// Takes any module and looks inside an InvertibleModuleWrapper. Works on a copy: no parameter, running
/// statistic or random number of the program changes. Throws ArgumentError without shapes.
InvertibilityReport is_invertible_module(const Module& module_in, const std::vector<Shape>& test_input_shapes,
                                         const InvertibilityOptions& options = {});
/// The same for a module of one input.
InvertibilityReport is_invertible_module(const Module& module_in, const Shape& test_input_shape,
                                         const InvertibilityOptions& options = {});

}  // namespace retrace
