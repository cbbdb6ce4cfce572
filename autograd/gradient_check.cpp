#include <retrace/autograd/gradient_check.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/fail.h>
#include <retrace/core/not_null.h>
#include <retrace/core/random.h>
#include <retrace/core/range.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace retrace {

namespace {

/// Uniform in [-1, 1); streams 0, 1, ... of one seed.
std::vector<double> random_vector(std::uint64_t seed, std::uint64_t stream, std::int64_t size) {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i)
    values.push_back(2.0 * uniform_at({.seed = seed, .stream = stream}, static_cast<std::uint64_t>(i)) - 1);
  return values;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// <u, f(x)> as a function of leaves (the float inputs, then the parameters) that can be moved.
class Contraction {
 public:
  struct Leaf {
    std::string name;
    Tensor value;  // moved in place; of an input, a copy
    std::vector<double> origin;
    std::vector<double> gradient;
  };

  Contraction(std::string_view op, const CheckedFunction& f, const Tensors& inputs,
              std::vector<Parameter*> parameters, std::uint64_t seed)
      : f_(f), parameters_(none_null(op, "parameter", std::move(parameters))), scope_(current_scope()) {
    if (!f) fail<ArgumentError>(op, "the function must not be empty");
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      inputs_.push_back(inputs[i].clone(Tag::data));
      if (is_float(inputs[i].dtype())) add_leaf(op, fmt::format("input {}", i), inputs_.back());
    }
    for (std::size_t p = 0; p < parameters_.size(); ++p)
      add_leaf(op, fmt::format("parameter {}", p), parameters_[p]->value());
    run_on_tape(seed);
  }
  /// An evaluation that throws leaves the parameters where they were, too.
  ~Contraction() {
    for (Leaf& leaf : leaves_) std::ranges::copy(leaf.origin, leaf.value.mutable_data<double>());
  }
  Contraction(const Contraction&) = delete;
  Contraction& operator=(const Contraction&) = delete;

  std::vector<Leaf>& leaves() { return leaves_; }
  const std::vector<double>& cotangent() const { return cotangent_; }

  /// f where the leaves are now.
  std::vector<double> evaluate() const {
    const NoTape no_tape;
    const Recomputing replay;
    const Reenter scope(scope_);
    Vars xs;
    for (const Tensor& input : inputs_) xs.emplace_back(input);
    return f_(xs).value().to_vector<double>();
  }

 private:
  void add_leaf(std::string_view op, std::string name, const Tensor& value) {
    if (value.dtype() != DType::f64)
      fail<DTypeError>(op, "{} must be f64, because differences in f32 tell nothing, got {}", name,
                       value.dtype());
    leaves_.push_back(
        {.name = std::move(name), .value = value, .origin = value.to_vector<double>(), .gradient = {}});
  }

  void run_on_tape(std::uint64_t seed) {
    for (Parameter* parameter : parameters_) parameter->zero_grad();
    Tape tape;
    const Reenter scope(scope_);
    Vars xs;
    for (const Tensor& input : inputs_) {
      Tensor own = input.clone(Tag::activation);  // which a reversible module may release
      xs.push_back(is_float(own.dtype()) ? tape.watch(std::move(own)) : Var(std::move(own)));
    }
    const Var y = f_(xs);
    cotangent_ = random_vector(seed, 0, y.value().numel());
    tape.backward(y, Tensor::from<double>(cotangent_, y.shape(), Tag::gradient).to(y.dtype(), Tag::gradient));
    std::size_t leaf = 0;
    for (const Var& x : xs)
      if (!x.constant()) set_gradient(leaves_[leaf++], tape.grad(x));
    for (Parameter* parameter : parameters_) {
      set_gradient(leaves_[leaf++], parameter->grad());
      parameter->zero_grad();
    }
  }

  /// An undefined gradient is zero.
  static void set_gradient(Leaf& leaf, const Tensor& gradient) {
    leaf.gradient =
        gradient.defined() ? gradient.to_vector<double>() : std::vector<double>(leaf.origin.size());
  }

  const CheckedFunction& f_;
  Tensors inputs_;
  std::vector<Parameter*> parameters_;
  ScopeState scope_;
  std::vector<Leaf> leaves_;
  std::vector<double> cotangent_;
};

/// <u, f(x + h e_i) - f(x - h e_i)> / 2h.
double central_difference(const Contraction& f, Contraction::Leaf& leaf, std::int64_t i, double h) {
  const double middle = leaf.origin[static_cast<std::size_t>(i)];
  const auto at = [&](double value) {
    leaf.value.mutable_data<double>()[i] = value;
    return f.evaluate();
  };
  std::vector<double> above = at(middle + h);
  const std::vector<double> below = at(middle - h);
  leaf.value.mutable_data<double>()[i] = middle;
  for (std::size_t k = 0; k < above.size(); ++k) above[k] -= below[k];
  return dot(f.cotangent(), above) / ((middle + h) - (middle - h));
}

/// The exponent p of the fit r = c h^p; remainders below `noise` are left out.
/// With a remainder that is no number, NaN; with fewer than two left, infinity.
double fitted_slope(const std::vector<double>& steps, const std::vector<double>& remainders, double noise) {
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (std::size_t k = 0; k < steps.size(); ++k) {
    if (std::isnan(remainders[k])) return remainders[k];
    if (remainders[k] <= noise) continue;
    const double x = std::log(steps[k]);
    const double y = std::log(remainders[k]);
    n += 1, sx += x, sy += y, sxx += x * x, sxy += x * y;
  }
  if (n < 2) return std::numeric_limits<double>::infinity();
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

}  // namespace

GradientCheck check_gradient(const CheckedFunction& f, const Tensors& inputs,
                             const GradientCheckOptions& options) {
  RealRange::above(0).check("check_gradient", "step", options.step);
  RealRange::at_least(0).check("check_gradient", "tolerance", options.tolerance);
  Contraction contraction("check_gradient", f, inputs, options.parameters, options.seed);
  GradientCheck result{.worst_error = 0, .tolerance = options.tolerance, .report = {}};
  std::int64_t checked = 0;
  std::string worst = "none";
  for (Contraction::Leaf& leaf : contraction.leaves()) {
    const std::int64_t numel = leaf.value.numel();
    const std::int64_t count = options.samples > 0 ? std::min(options.samples, numel) : numel;
    for (std::int64_t k = 0; k < count; ++k, ++checked) {
      const std::int64_t i = k * numel / count;
      const double tape = leaf.gradient[static_cast<std::size_t>(i)];
      const double difference = central_difference(contraction, leaf, i, options.step);
      double error = std::abs(tape - difference) / (1 + std::abs(difference));
      if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
      if (checked > 0 && error <= result.worst_error) continue;
      result.worst_error = error;
      worst = fmt::format("{} {}, element {}: the tape gives {:.10g}, differences give {:.10g}", leaf.name,
                          leaf.value.shape(), i, tape, difference);
    }
  }
  result.report = fmt::format("{} partial derivatives, worst error {:.3g} (at most {:.3g}): {}", checked,
                              result.worst_error, options.tolerance, worst);
  return result;
}

TaylorTest taylor_test(const CheckedFunction& f, const Tensors& inputs, const TaylorTestOptions& options) {
  RealRange::above(0).check("taylor_test", "step", options.step);
  RealRange{}.check("taylor_test", "slope", options.slope);
  IntRange::at_least(1).check("taylor_test", "halvings", options.halvings);
  Contraction contraction("taylor_test", f, inputs, options.parameters, options.seed);
  std::vector<Contraction::Leaf>& leaves = contraction.leaves();
  std::vector<std::vector<double>> directions;
  double slope_along_v = 0;
  for (const Contraction::Leaf& leaf : leaves) {
    directions.push_back(random_vector(options.seed, directions.size() + 1, leaf.value.numel()));
    slope_along_v += dot(leaf.gradient, directions.back());
  }
  const auto move_to = [&](double h) {
    for (std::size_t l = 0; l < leaves.size(); ++l) {
      const std::span<double> x = leaves[l].value.mutable_values<double>();
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = leaves[l].origin[i] + h * directions[l][i];
    }
  };

  const std::vector<double> y = contraction.evaluate();
  double scale = std::abs(slope_along_v);
  for (std::size_t i = 0; i < y.size(); ++i) scale += std::abs(y[i] * contraction.cotangent()[i]);
  std::vector<double> steps;
  std::vector<double> remainders;
  TaylorTest result{.slope = 0, .least_slope = options.slope, .report = {}};
  for (int k = 0; k <= options.halvings; ++k) {
    steps.push_back(std::ldexp(options.step, -k));
    move_to(steps.back());
    std::vector<double> moved = contraction.evaluate();
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] -= y[i];
    remainders.push_back(std::abs(dot(contraction.cotangent(), moved) - steps.back() * slope_along_v));
    result.report += fmt::format("h = {:.3e}  remainder {:.3e}\n", steps.back(), remainders.back());
  }
  result.slope = fitted_slope(steps, remainders, 1e3 * std::numeric_limits<double>::epsilon() * scale);
  result.report += fmt::format("slope {:.3f} (at least {:.3f})\n", result.slope, options.slope);
  return result;
}

}  // namespace retrace
