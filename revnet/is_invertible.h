#pragma once
#include <retrace/nn/module.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace retrace {

/// How `is_invertible_module` tries.
struct InvertibilityOptions {
  DType dtype = DType::f32;        ///< of the inputs: that of the parameters
  double atol = 1e-6;              ///< absolute tolerance, beside a relative one of 1e-5
  double rtol = 0;                 ///< adds this part of each tensor's largest magnitude to the tolerance
  bool allow_rounding = true;      ///< false: whatever is beyond the tolerance is a no, as in MemCNN
  std::uint64_t random_seed = 42;  ///< of the inputs
};

/// What is_invertible_module found; converts to the answer.
struct InvertibilityReport {
  bool invertible = false;  ///< the answer
  double worst_error = 0;   ///< largest absolute difference, of x and of y
  /// Largest absolute difference of a copy in f64, on the same inputs; absent if it was not needed or did not
  /// run.
  std::optional<double> worst_error_f64{};
  /// The difference is beyond the tolerance by rounding alone: in f64 it is smaller by about as much as f64's
  /// roundings are (on a logarithmic scale closer to that than to 1).
  bool rounding = false;
  std::vector<std::string> errors{};    ///< why not: what differs, by how much
  std::vector<std::string> warnings{};  ///< what is worth knowing and no reason to say no
  /// The answer.
  explicit operator bool() const { return invertible; }
};

/// Tries on random inputs, uniform in [0, 1), whether inverse(forward(x)) = x and forward(inverse(y)) = y.
/// Takes any module and looks inside an InvertibleModuleWrapper. Works on a copy: no parameter, running
/// statistic or random number of the program changes. Throws ArgumentError without shapes,
/// and unless the tolerances are finite and at least 0.
///
/// MemCNN's tolerance (atol, and 1e-5 of each number) is less than what rounding does to some correct modules
/// in f32, and to all in bf16 and f16. So what is beyond it is looked at again in f64. The answer stays yes,
/// with a warning, if it is rounding and leaves half of the digits of `dtype` (the error is at most the
/// square root of its epsilon, times the largest magnitude, at least 1). Else the errors say whether it was
/// rounding.
InvertibilityReport is_invertible_module(const Module& module_in, const std::vector<Shape>& test_input_shapes,
                                         const InvertibilityOptions& options = {});
/// The same for a module of one input.
InvertibilityReport is_invertible_module(const Module& module_in, const Shape& test_input_shape,
                                         const InvertibilityOptions& options = {});

}  // namespace retrace
