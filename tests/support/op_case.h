#pragma once
// Independent of Catch2: the tests, the benchmarks and the comparison of devices read the same table.
#include <retrace/autograd/var.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace retrace::test {

/// Makes one input; for a floating-point one, `dtype` is its element type. The same numbers at each call.
using InputMaker = std::function<Tensor(DType dtype)>;

/// One row of the table of op cases: an operation at given inputs, and what must come out.
struct OpCase {
  std::string name{};                          ///< `add [2,3] + [3]`
  std::function<Var(const Vars&)> function{};  ///< the operation; several results are combined into one
  std::vector<InputMaker> inputs{};
  std::vector<double> expected{};  ///< y in row-major order; empty: not given
  /// For each input, dx for dy = 1 everywhere; empty: not given.
  std::vector<std::vector<double>> expected_gradients{};
  bool on_kinks = false;  ///< the inputs lie on kinks: no comparison with differences
};

/// The parts, printed one after the other: for names of rows.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Makers of inputs.

/// These numbers.
InputMaker values(const Shape& shape, std::initializer_list<double> numbers);
/// Uniform in [low, high).
InputMaker uniform(const Shape& shape, double low = -1, double high = 1, std::uint64_t seed = 1);
/// The same, but every third number is exactly 0; inputs of rows with `on_kinks`.
InputMaker with_zeros(const Shape& shape, std::uint64_t seed = 1);
/// A shuffle of -n/2 .. n/2 in steps of 0.01, shifted by 0.005: no two closer than that, none closer to 0.
InputMaker distinct(const Shape& shape, std::uint64_t seed = 1);
/// Integers in [0, classes) of type i64, whatever `dtype` is.
InputMaker labels(const Shape& shape, std::int64_t classes, std::uint64_t seed = 1);

/// t on x's device.
Tensor beside(const Var& x, const Tensor& t);

// What the checks of a row are made of.

Tensors make_inputs(const OpCase& op_case, DType dtype);
/// A cotangent for y: uniform in [-1, 1).
Tensor make_cotangent(const Tensor& y);

/// y and, undefined for inputs that are integers or get none, its gradients.
struct Outcome {
  Tensor y;
  Tensors gradients;
};

/// Runs the row on a tape and back, with `dy` (by default `make_cotangent`). Between the two, the saved
/// floating-point tensors are moved: by +perturbation and -perturbation in turn.
Outcome run_recorded(const OpCase& op_case, const Tensors& inputs, double perturbation = 0,
                     const Tensor& dy = Tensor());
/// Runs the row without a tape.
Tensor run_plain(const OpCase& op_case, const Tensors& inputs);

/// How far a row's results may be from their literals, as a `distance`, and in bf16 and f16 from f32's
/// results. A row takes some ten operations with a few numbers in f64 and f32, so 50 roundings. bf16 and f16
/// round what a whole operation computed in f32, and a row is a composition of at most 12 of them, gradients
/// included.
double tolerance_of(DType dtype);

/// Under Autocast every operation takes bf16 and f16; f32 and f64 run without.
std::optional<DType> autocast_for(DType dtype);

/// The elements of x; none where it is undefined.
std::vector<double> numbers(const Tensor& x);
/// The same shape, type and bits; two undefined tensors are.
bool same_bits(const Tensor& a, const Tensor& b);
/// The largest |a - b| / (1 + |b|), infinity for a NaN or another size.
double distance(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace retrace::test
