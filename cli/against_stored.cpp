#include <retrace/cli/against_stored.h>
#include <retrace/cli/step.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <utility>

namespace retrace::cli {

namespace {

constexpr double kAllowedF64 = 1e-9;
constexpr double kTimesOwnDistance = 3;
constexpr int kNudgedRuns = 4;
constexpr double kNudgeRoundings = 4;      // of each weight
constexpr double kLeastAllowedF32 = 1e-6;  // a few roundings, where the stored run happens to meet f64

/// What is remembered of a run.
struct Trace {
  std::vector<Named<Tensor>> gradients;  // of the first step
  std::vector<Named<Tensor>> buffers;    // after the first step
  std::vector<double> losses;
  DecisionCounts decisions{};  // of the first step
};

void remember_first_step(ResidualNetwork& network, Trace& trace) {
  for (const auto& [name, parameter] : network.named_parameters())
    trace.gradients.emplace_back(name, parameter->grad().clone(Tag::data));
  for (const auto& [name, buffer] : network.named_buffers())
    trace.buffers.emplace_back(name, buffer->clone(Tag::data));
}

/// Moves every weight by some roundings, up or down as `run` says: no two runs move all alike.
void nudge(ResidualNetwork& network, int run) {
  const Device device = device_of(network);
  network.to(Device::cpu());
  std::mt19937 up(static_cast<std::uint32_t>(run));
  for (Parameter* parameter : network.parameters())
    visit_float("check", parameter->value().dtype(), [&]<class T>(TypeTag<T>) {
      const T step = static_cast<T>(kNudgeRoundings) * std::numeric_limits<T>::epsilon();
      for (T& weight : parameter->value().mutable_values<T>()) weight *= up() % 2 == 0 ? 1 + step : 1 - step;
    });
  network.to(device);
}

/// A run of one step for each batch; nudged if `nudged` is its number.
Trace trace_of(const AgainstStoredOptions& options, const std::string& dtype, Policy policy,
               const std::vector<Batch>& batches, std::optional<int> nudged = std::nullopt) {
  RunChoice run = options.run;
  run.dtype = dtype;
  const auto network = make_network(options.network, run, policy);
  if (nudged) nudge(*network, *nudged);
  SGD optimizer(network->parameters(), {.lr = options.lr, .momentum = 0.9});
  Trace trace;
  for (std::size_t s = 0; s < batches.size(); ++s) {
    Batch batch = batches[s];
    batch.images = batch.images.to(dtype_from_name(dtype), Tag::data);
    const DecisionCounter counter;
    trace.losses.push_back(forward_backward(*network, batch, static_cast<std::int64_t>(s) + 1).loss);
    if (s == 0) {
      trace.decisions = counter.counts();
      remember_first_step(*network, trace);
    }
    optimizer.step();
    optimizer.zero_grad();
  }
  return trace;
}

double norm_of(const std::vector<double>& x) {
  return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
}

/// ||a - b||.
double distance(const Tensor& a, const Tensor& b) {
  std::vector<double> x = a.to_vector<double>();
  const std::vector<double> y = b.to_vector<double>();
  std::transform(x.begin(), x.end(), y.begin(), x.begin(), std::minus<>());
  return norm_of(x);
}

/// By what each gradient's error is divided: its norm, or the norm of all of them taken as one vector where
/// its own is zero in exact arithmetic, so that only rounding is left of it (of a bias in front of a batch
/// norm). `exact` is in f64.
std::vector<double> scales_of(const std::vector<Named<Tensor>>& exact) {
  constexpr double kZero = 1e-12;
  std::vector<double> norms;
  for (const auto& [name, gradient] : exact) norms.push_back(norm_of(gradient.to_vector<double>()));
  const double whole = norm_of(norms);
  for (double& norm : norms)
    if (norm <= kZero * whole) norm = whole;
  return norms;
}

bool bit_equal(const Tensor& a, const Tensor& b) {
  return visit(a.dtype(), [x = on_cpu(a), y = on_cpu(b)]<class T>(TypeTag<T>) {
    return std::memcmp(x.data<T>(), y.data<T>(), static_cast<std::size_t>(x.bytes())) == 0;
  });
}

/// The stored run, and others that show what rounding does to it: in f32 first one in f64, then some with
/// nudged weights.
struct Stored {
  Trace trace;
  std::vector<Trace> others{};
  bool f64 = false;

  const Trace& exact() const { return f64 ? trace : others.front(); }
  /// What a run that rounds differently may differ by: `distance` of one of the others tells its own.
  template <class Distance>
  double allowed(double at_least, const Distance& distance) const {
    for (const Trace& other : others) at_least = std::max(at_least, kTimesOwnDistance * distance(other));
    return at_least;
  }
};

AgainstStored compare(Policy policy, const Trace& trace, const Stored& reference) {
  const Trace& stored = reference.trace;
  AgainstStored result{.policy = policy};
  const std::vector<double> scales = scales_of(reference.exact().gradients);
  for (std::size_t p = 0; p < stored.gradients.size(); ++p) {
    const auto error = [&](const Trace& from) {
      return distance(from.gradients[p].second, stored.gradients[p].second) / scales[p];
    };
    result.gradients.push_back(
        {.name = stored.gradients[p].first,
         .error = error(trace),
         .allowed = reference.f64 ? kAllowedF64 : reference.allowed(kLeastAllowedF32, error)});
  }
  double loss_allowed = reference.f64 ? kAllowedF64 : kLeastAllowedF32;  // never less than a step before
  for (std::size_t s = 0; s < stored.losses.size(); ++s) {
    const auto error = [&](const Trace& from) { return std::abs(from.losses[s] - stored.losses[s]); };
    loss_allowed = reference.allowed(loss_allowed, error);
    result.losses.push_back(
        {.name = "step " + std::to_string(s + 1), .error = error(trace), .allowed = loss_allowed});
  }
  for (std::size_t b = 0; b < stored.buffers.size(); ++b)
    if (!bit_equal(trace.buffers[b].second, stored.buffers[b].second))
      result.different_buffers.push_back(stored.buffers[b].first);
  return result;
}

}  // namespace

std::vector<AgainstStored> against_stored(const AgainstStoredOptions& options,
                                          const std::vector<Policy>& policies,
                                          const std::vector<Batch>& batches) {
  const std::string& dtype = options.run.dtype;
  Stored stored{.trace = trace_of(options, dtype, Policy::stored, batches), .f64 = dtype == "f64"};
  if (!stored.f64) stored.others.push_back(trace_of(options, "f64", Policy::stored, batches));
  for (int run = 0; run < kNudgedRuns; ++run)
    stored.others.push_back(trace_of(options, dtype, Policy::stored, batches, run));
  std::vector<AgainstStored> results;
  for (const Policy policy : policies) {
    results.push_back(compare(policy, trace_of(options, dtype, policy, batches), stored));
    if (is_reversible(policy))  // only with kept masks there is something to compare with
      results.back().decisions =
          trace_of(options, dtype, Policy::reversible_masks, {batches.front()}).decisions;
  }
  return results;
}

}  // namespace retrace::cli
