#include <retrace/core/epsilon.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/core/random.h>
#include <retrace/core/range.h>
#include <retrace/revnet/is_invertible.h>
#include <retrace/revnet/replay.h>
#include <retrace/revnet/wrapper.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace retrace {

namespace {

constexpr double kRelativeTolerance = 1e-5;

/// What two lists of tensors differ in.
struct Comparison {
  std::vector<std::string> mismatches{};   // of number and shape
  std::vector<std::string> differences{};  // of numbers, beyond the tolerance
  double worst = 0;                        // of all differences
  double worst_relative = 0;  // the same, over the tensor's largest magnitude where that is above 1
};

void compare_numbers(const std::string& what, const Tensor& wanted, const Tensor& got,
                     const InvertibilityOptions& options, Comparison& found) {
  const std::vector<double> a = wanted.to_vector<double>();
  const std::vector<double> b = got.to_vector<double>();
  double largest = 0;
  for (const double value : a) largest = std::max(largest, std::abs(value));
  bool close = true;
  double worst = 0;
  for (std::size_t e = 0; e < a.size(); ++e) {
    const double error = std::abs(a[e] - b[e]);
    const double allowed = options.atol + options.rtol * largest + kRelativeTolerance * std::abs(a[e]);
    close = close && error <= allowed;  // false for NaN, too
    worst = std::isnan(error) ? error : std::max(worst, error);
  }
  found.worst = std::isnan(worst) ? worst : std::max(found.worst, worst);
  found.worst_relative = std::max(found.worst_relative, worst / std::max(1.0, largest));
  if (!close) found.differences.push_back(fmt::format("{} differs by up to {:.3g}", what, worst));
}

void compare(std::string_view what, const Tensors& wanted, const Tensors& got,
             const InvertibilityOptions& options, Comparison& found) {
  if (wanted.size() != got.size()) {
    found.mismatches.push_back(
        fmt::format("{}: {} tensors went in, {} came back", what, wanted.size(), got.size()));
    return;
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].shape() == got[i].shape())
      compare_numbers(fmt::format("{}: tensor {}", what, i), wanted[i], got[i], options, found);
    else
      found.mismatches.push_back(
          fmt::format("{}: {} went in, {} came back", what, wanted[i].shape(), got[i].shape()));
  }
}

void warn_of_sharing(std::string_view direction, const Tensors& x, const Tensors& y,
                     InvertibilityReport& report) {
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (std::any_of(x.begin(), x.end(), [&](const Tensor& t) { return t.shares_storage(y[i]); }))
      report.warnings.push_back(fmt::format(
          "in {}, output {} shares its bytes with an input, which will not be released", direction, i));
    for (std::size_t j = 0; j < i; ++j)
      if (y[i].shares_storage(y[j]))
        report.warnings.push_back(fmt::format("in {}, outputs {} and {} share their bytes", direction, j, i));
  }
}

/// Uniform in [0, 1), drawn in f32 for the 16-bit types.
Tensors random_inputs(const std::vector<Shape>& shapes, const InvertibilityOptions& options) {
  const bool wide = options.dtype == DType::f32 || options.dtype == DType::f64;
  Tensors x;
  for (const Shape& shape : shapes) {
    const RandomStream stream{.seed = options.random_seed, .stream = x.size() + 1};
    Tensor numbers(shape, wide ? options.dtype : DType::f32);
    kernel::uniform(stream, 0, 1, numbers);
    x.push_back(wide ? numbers : numbers.to(options.dtype, Tag::data));
  }
  return x;
}

/// Runs the module forward and back, and inverse and forward.
Comparison try_on(InvertibleModule& module, const Tensors& x, const InvertibilityOptions& options,
                  InvertibilityReport& report) {
  // A scope of its own, left again at the end: the program's random numbers go on as if nothing had been
  // drawn.
  const ScopeSnapshot scope{.state = {.node = nullptr, .random = {.step = 0, .key = options.random_seed}}};
  const auto run = [&](const Tensors& t, bool inverse) {
    const Reenter same_random_numbers(scope);
    return values_of(inverse ? module.inverse_all(constants(t)) : module.forward_all(constants(t)));
  };
  Comparison found;
  const Tensors y = run(x, false);
  const Tensors back = run(y, true);
  warn_of_sharing("forward", x, y, report);
  warn_of_sharing("inverse", y, back, report);
  compare("inverse(forward(x))", x, back, options, found);
  compare("forward(inverse(y))", y, run(back, false), options, found);
  return found;
}

/// The invertible module of a copy, without its wrapper; null if it is none.
std::shared_ptr<InvertibleModule> copy_of(const Module& module_in) {
  auto module = std::dynamic_pointer_cast<InvertibleModule>(module_in.clone());
  if (const auto wrapper = std::dynamic_pointer_cast<InvertibleModuleWrapper>(module)) return wrapper->fn();
  return module;
}

/// The largest difference of a copy in f64 on the same inputs; none if it does not run there.
std::optional<double> worst_error_in_f64(const Module& module_in, const Tensors& x,
                                         const InvertibilityOptions& options) {
  const std::shared_ptr<InvertibleModule> module = copy_of(module_in);
  Tensors wide;
  for (const Tensor& t : x) wide.push_back(t.to(DType::f64, Tag::data));
  InvertibilityReport unused;
  try {
    module->to(DType::f64);
    const Comparison found = try_on(*module, wide, options, unused);
    return found.mismatches.empty() ? std::optional(found.worst) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Whether an error that shrinks from `worst` to `worst_f64` is rounding: what is wrong stays as large,
/// rounding shrinks by the ratio of the epsilons. Between the two lies, on a logarithmic scale, the root of
/// the ratio.
bool is_rounding(double worst, double worst_f64, DType dtype) {
  return worst_f64 <= worst * std::sqrt(detail::epsilon_of(DType::f64) / detail::epsilon_of(dtype));
}

/// Puts the differences where they belong: errors, or warnings where only rounding made them.
void judge(const Module& module_in, const Tensors& x, const InvertibilityOptions& options,
           const Comparison& found, InvertibilityReport& report) {
  report.worst_error = found.worst;
  report.errors = found.mismatches;
  std::string reason;
  bool digits_left = false;
  if (!found.differences.empty() && options.dtype != DType::f64) {
    report.worst_error_f64 = worst_error_in_f64(module_in, x, options);
    report.rounding =
        report.worst_error_f64 && is_rounding(found.worst, *report.worst_error_f64, options.dtype);
    if (report.rounding) reason = fmt::format(" by rounding: in f64 by {:.3g}", *report.worst_error_f64);
    digits_left = found.worst_relative <= std::sqrt(detail::epsilon_of(options.dtype));
    if (report.rounding && !digits_left)
      reason += fmt::format("; less than half of the digits of {} are left", options.dtype);
  }
  const bool allowed = report.rounding && digits_left && options.allow_rounding;
  for (const std::string& difference : found.differences)
    (allowed ? report.warnings : report.errors).push_back(difference + reason);
}

}  // namespace

InvertibilityReport is_invertible_module(const Module& module_in, const std::vector<Shape>& test_input_shapes,
                                         const InvertibilityOptions& options) {
  if (test_input_shapes.empty())
    fail<ArgumentError>("is_invertible_module", "there must be at least one input shape, got none");
  RealRange::at_least(0).check("is_invertible_module", "atol", options.atol);
  RealRange::at_least(0).check("is_invertible_module", "rtol", options.rtol);
  InvertibilityReport report;
  const std::shared_ptr<InvertibleModule> module = copy_of(module_in);
  if (module == nullptr) {
    report.errors.emplace_back("the module has no inverse: it is not derived from InvertibleModule");
    return report;
  }
  const NoTape no_tape;
  const Tensors x = random_inputs(test_input_shapes, options);
  try {
    judge(module_in, x, options, try_on(*module, x, options, report), report);
  } catch (const Error& error) {
    report.errors.emplace_back(error.what());
  }
  report.invertible = report.errors.empty();
  return report;
}

InvertibilityReport is_invertible_module(const Module& module_in, const Shape& test_input_shape,
                                         const InvertibilityOptions& options) {
  return is_invertible_module(module_in, std::vector<Shape>{test_input_shape}, options);
}

}  // namespace retrace
