#include <retrace/autograd/ops/elementwise.h>
#include <retrace/core/convert.h>
#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/core/range.h>
#include <retrace/nn/grad_scaler.h>

#include <array>
#include <cmath>
#include <limits>

namespace retrace {

namespace {

constexpr std::string_view kName = "GradScaler";
constexpr double kLeastScale = std::numeric_limits<float>::min();  // below it, a scaled f32 loss loses digits
constexpr std::array<std::string_view, 5> kStateNames = {"scale", "growth_factor", "backoff_factor",
                                                         "growth_interval", "growth_tracker"};

const GradScalerOptions& checked(const GradScalerOptions& options) {
  RealRange::above(0).check(kName, "the scale", options.init_scale);
  RealRange::above(1).check(kName, "growth_factor", options.growth_factor);
  RealRange::above(0).below(1).check(kName, "backoff_factor", options.backoff_factor);
  IntRange::at_least(1).check(kName, "growth_interval", options.growth_interval);
  return options;
}

}  // namespace

GradScaler::GradScaler(const GradScalerOptions& options)
    : options_(checked(options)), scale_(options.init_scale) {}

Var GradScaler::scale(const Var& loss) const { return options_.enabled ? loss * scale_ : loss; }

void GradScaler::unscale_(Optimizer& optimizer) {
  if (!options_.enabled) return;
  if (unscaled_.contains(&optimizer))
    fail<GradientError>(kName, "unscale_ must be called once between two updates, got another call");
  Tensors gradients;  // of all parameters, before one is changed: grad() throws after a failed backward
  for (const Parameter* parameter : optimizer.parameters())
    if (parameter->grad().defined()) gradients.push_back(parameter->grad());
  unscaled_.insert(&optimizer);
  for (Tensor& gradient : gradients) {
    if (!std::isfinite(kernel::magnitudes(gradient).largest)) overflown_.insert(&optimizer);
    kernel::broadcast_to(gradient, scale_, gradient);
  }
}

bool GradScaler::step(Optimizer& optimizer) {
  if (options_.enabled) {
    if (stepped_.contains(&optimizer))
      fail<GradientError>(kName, "step must be called once between two updates, got another call");
    if (!unscaled_.contains(&optimizer)) unscale_(optimizer);
    stepped_.insert(&optimizer);
    if (overflown_.contains(&optimizer)) return false;
  }
  optimizer.step();
  return true;
}

void GradScaler::update() {
  if (!options_.enabled) return;
  if (unscaled_.empty())
    fail<GradientError>(kName,
                        "update must come after a step or an unscale_, got neither since the last update");
  const bool overflow = !overflown_.empty();
  end_iteration();
  if (overflow) {
    const double smaller = scale_ * options_.backoff_factor;
    if (smaller < kLeastScale)
      fail<GradientError>(kName,
                          "the scale must stay at least {}, but the gradients are infinite or NaN at {}, too",
                          kLeastScale, scale_);
    scale_ = smaller;
    growth_tracker_ = 0;
  } else if (++growth_tracker_ == options_.growth_interval) {
    const double grown = scale_ * options_.growth_factor;
    if (std::isfinite(static_cast<float>(grown))) scale_ = grown;
    growth_tracker_ = 0;
  }
}

void GradScaler::update(double new_scale) {
  if (!options_.enabled) return;
  GradScalerOptions options = options_;
  options.init_scale = new_scale;
  checked(options);
  scale_ = new_scale;
  end_iteration();
}

void GradScaler::end_iteration() {
  unscaled_.clear();
  overflown_.clear();
  stepped_.clear();
}

std::vector<Named<Tensor>> GradScaler::state() const {
  const auto number = [](double value) { return Tensor::full({}, value, DType::f64, Tag::optimizer); };
  const auto count = [](std::int64_t value) {
    return Tensor::from<std::int64_t>({value}, {}, Tag::optimizer);
  };
  return {{std::string(kStateNames[0]), number(scale_)},
          {std::string(kStateNames[1]), number(options_.growth_factor)},
          {std::string(kStateNames[2]), number(options_.backoff_factor)},
          {std::string(kStateNames[3]), count(options_.growth_interval)},
          {std::string(kStateNames[4]), count(growth_tracker_)}};
}

void GradScaler::load_state(const std::vector<Named<Tensor>>& state) {
  if (state.size() != kStateNames.size())
    fail<ArgumentError>(kName, "the state must have {} tensors, got {}", kStateNames.size(), state.size());
  for (std::size_t i = 0; i < state.size(); ++i)
    if (state[i].first != kStateNames[i])
      fail<ArgumentError>(kName, "the state must have '{}', got '{}'", kStateNames[i], state[i].first);
  GradScalerOptions options = options_;
  options.init_scale = state[0].second.item();
  options.growth_factor = state[1].second.item();
  options.backoff_factor = state[2].second.item();
  options.growth_interval = convert_to<std::int64_t>(state[3].second.item());
  const auto tracker = convert_to<std::int64_t>(state[4].second.item());
  checked(options);
  if (tracker < 0 || tracker >= options.growth_interval)
    fail<ArgumentError>(kName, "growth_tracker must be in [0,{}), got {}", options.growth_interval, tracker);
  scale_ = options.init_scale;
  growth_tracker_ = tracker;
  options.init_scale = options_.init_scale;
  options_ = options;
  end_iteration();
}

}  // namespace retrace
