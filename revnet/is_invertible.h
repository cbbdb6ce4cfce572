#pragma once
#include <retrace/nn/module.h>

#include <cstdint>
#include <string>
#include <vector>

namespace retrace {

struct InvertibilityOptions {
  DType dtype = DType::f32;
  double atol = 1e-6;  ///< absolute tolerance, beside a relative one of 1e-5
  std::uint64_t random_seed = 42;
};

/// What is_invertible_module found; converts to the answer.
struct InvertibilityReport {
  bool invertible = false;
  double worst_error = 0;  ///< largest absolute difference, of x and of y
  std::vector<std::string> errors{};
  std::vector<std::string> warnings{};
  explicit operator bool() const { return invertible; }
};

/// Tries on random inputs, uniform in [0, 1), whether inverse(forward(x)) = x and forward(inverse(y)) = y.
/// Takes any module and looks inside an InvertibleModuleWrapper. Works on a copy: no parameter, running
/// statistic or random number of the program changes. Throws ArgumentError without shapes.
InvertibilityReport is_invertible_module(const Module& module_in, const std::vector<Shape>& test_input_shapes,
                                         const InvertibilityOptions& options = {});
InvertibilityReport is_invertible_module(const Module& module_in, const Shape& test_input_shape,
                                         const InvertibilityOptions& options = {});

}  // namespace retrace
