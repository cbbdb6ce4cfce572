#pragma once
#include <retrace/autograd/var.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace retrace {

/// A function whose gradient is checked: from one variable for each input to one result of any shape.
using CheckedFunction = std::function<Var(const Vars&)>;

/// How `check_gradient` compares.
struct GradientCheckOptions {
  double step = 1e-5;        ///< h of the central difference
  double tolerance = 1e-7;   ///< of |tape - difference| / (1 + |difference|)
  std::int64_t samples = 0;  ///< elements checked in each tensor, spread evenly; 0 for all
  std::uint64_t seed = 1;    ///< of the random cotangent
  /// Parameters that the function uses besides its inputs; their gradients are checked too, and are zero
  /// afterwards.
  std::vector<Parameter*> parameters{};
};

/// What `check_gradient` found. True when every partial derivative agrees.
struct GradientCheck {
  double worst_error = 0;  ///< the largest |tape - difference| / (1 + |difference|)
  double tolerance = 0;    ///< the one of the options
  std::string report{};    ///< where the worst error is, with both numbers

  /// Whether all of them agree.
  explicit operator bool() const { return worst_error <= tolerance; }
};

/// Compares the tape's gradient with central differences in f64.
///
/// The function y = f(x) is contracted with a random cotangent u, and for each element of each input
///
///     d<u, y>/dx_i = <u, f(x + h e_i) - f(x - h e_i)> / 2h
///
/// is compared with what the tape computes. Floating-point inputs are watched, integer ones are constants.
/// Every evaluation runs as a replay (the same random numbers, no running statistics), only the recorded one
/// does not. Inputs must keep a distance of h from kinks. Throws DTypeError for f32 inputs or parameters:
/// differences in f32 tell nothing. Throws ArgumentError for an empty function, a null parameter and options
/// out of range.
GradientCheck check_gradient(const CheckedFunction& f, const Tensors& inputs,
                             const GradientCheckOptions& options = {});

/// How `taylor_test` compares.
struct TaylorTestOptions {
  double step = 1e-2;                    ///< the first and largest h
  int halvings = 6;                      ///< the number of further ones
  double slope = 1.9;                    ///< the least slope that passes
  std::uint64_t seed = 1;                ///< of the cotangent and the direction
  std::vector<Parameter*> parameters{};  ///< as in GradientCheckOptions
};

/// What `taylor_test` found. True when the remainder falls at least as fast as asked.
struct TaylorTest {
  double slope =
      0;  ///< fitted exponent of h; infinite where the remainder is rounding alone (f linear along v)
  double least_slope = 0;  ///< the one of the options
  std::string report{};    ///< each step with its remainder

  /// Whether the slope is large enough.
  explicit operator bool() const { return slope >= least_slope; }
};

/// Tests the gradient g of `<u, f>` along one random direction v in all inputs at once, whatever their
/// number: the remainder
///
///     r(h) = |<u, f(x + h v)> - <u, f(x)> - h <g, v>|
///
/// falls as h^2 when g is right and as h when it is not. Two evaluations for a network of any size, where
/// `check_gradient` needs two for each element. Same demands and errors as `check_gradient`.
TaylorTest taylor_test(const CheckedFunction& f, const Tensors& inputs,
                       const TaylorTestOptions& options = {});

}  // namespace retrace
