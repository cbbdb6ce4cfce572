#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/core/random.h>
#include <retrace/revnet/is_invertible.h>
#include <retrace/revnet/replay.h>
#include <retrace/revnet/wrapper.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace retrace {

namespace {

constexpr double kRelativeTolerance = 1e-5;

/// Compares two lists of tensors and notes what differs.
void compare(std::string_view what, const Tensors& wanted, const Tensors& got, double atol,
             InvertibilityReport& report) {
  if (wanted.size() != got.size()) {
    report.errors.push_back(
        fmt::format("{}: {} tensors went in, {} came back", what, wanted.size(), got.size()));
    return;
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!(wanted[i].shape() == got[i].shape())) {
      report.errors.push_back(
          fmt::format("{}: {} went in, {} came back", what, wanted[i].shape(), got[i].shape()));
      continue;
    }
    const std::vector<double> a = wanted[i].to_vector<double>();
    const std::vector<double> b = got[i].to_vector<double>();
    bool close = true;
    double worst = 0;
    for (std::size_t e = 0; e < a.size(); ++e) {
      const double error = std::abs(a[e] - b[e]);
      close = close && error <= atol + kRelativeTolerance * std::abs(a[e]);  // false for NaN, too
      worst = std::isnan(error) ? error : std::max(worst, error);
    }
    report.worst_error = std::max(report.worst_error, worst);
    if (!close) report.errors.push_back(fmt::format("{}: tensor {} differs by up to {:.3g}", what, i, worst));
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

Tensors random_inputs(const std::vector<Shape>& shapes, const InvertibilityOptions& options) {
  Tensors x;
  for (const Shape& shape : shapes) {
    x.emplace_back(shape, options.dtype);
    kernel::uniform({.seed = options.random_seed, .stream = x.size()}, 0, 1, x.back());
  }
  return x;
}

}  // namespace

InvertibilityReport is_invertible_module(const Module& module_in, const std::vector<Shape>& test_input_shapes,
                                         const InvertibilityOptions& options) {
  if (test_input_shapes.empty())
    fail<ArgumentError>("is_invertible_module", "there must be at least one input shape, got none");
  InvertibilityReport report;
  std::shared_ptr<InvertibleModule> module = std::dynamic_pointer_cast<InvertibleModule>(module_in.clone());
  if (const auto wrapper = std::dynamic_pointer_cast<InvertibleModuleWrapper>(module)) module = wrapper->fn();
  if (module == nullptr) {
    report.errors.emplace_back("the module has no inverse: it is not derived from InvertibleModule");
    return report;
  }
  // A scope of its own, left again at the end: the program's random numbers go on as if nothing had been
  // drawn.
  const ScopeSnapshot scope{.state = {.node = nullptr, .random = {.step = 0, .key = options.random_seed}}};
  const Reenter own_random_numbers(scope);
  const NoTape no_tape;
  const Tensors x = random_inputs(test_input_shapes, options);
  const auto run = [&](const Tensors& t, bool inverse) {
    const Reenter same_random_numbers(scope);
    return values_of(inverse ? module->inverse_all(constants(t)) : module->forward_all(constants(t)));
  };
  try {
    const Tensors y = run(x, false);
    const Tensors back = run(y, true);
    warn_of_sharing("forward", x, y, report);
    warn_of_sharing("inverse", y, back, report);
    compare("inverse(forward(x))", x, back, options.atol, report);
    compare("forward(inverse(y))", y, run(back, false), options.atol, report);
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
