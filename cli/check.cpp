#include <retrace/cli/against_stored.h>
#include <retrace/cli/check.h>
#include <retrace/cli/exit.h>
#include <retrace/cli/invertibility.h>
#include <retrace/cli/table.h>
#include <retrace/core/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace retrace::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr double kInverseF64 = 1e-9;
constexpr double kInverseF32 = 1e-3;
constexpr std::size_t kWorstShown = 5;

/// All that was found.
struct Findings {
  std::vector<InverseError> inverses;
  double inverse_allowed = 0;
  std::vector<AgainstStored> policies;

  bool inverses_passed() const {
    return std::all_of(inverses.begin(), inverses.end(), [this](const InverseError& e) {
      return e.alone <= inverse_allowed && e.drift <= inverse_allowed;
    });
  }
  bool passed() const {
    const auto all_passed = [](const auto& list) {
      return std::all_of(list.begin(), list.end(), [](const Comparison& c) { return c.passed(); });
    };
    return inverses_passed() && std::all_of(policies.begin(), policies.end(), [&](const AgainstStored& p) {
             return all_passed(p.gradients) && all_passed(p.losses) && p.different_buffers.empty();
           });
  }
};

Json json_of(const std::vector<Comparison>& list, const char* key) {
  Json json = Json::array();
  for (const Comparison& c : list)
    json.push_back({{key, c.name}, {"error", c.error}, {"allowed", c.allowed}, {"passed", c.passed()}});
  return json;
}

Json json_of(const CheckOptions& options, const Findings& findings) {
  Json json = {{"network", options.network.name}, {"dtype", options.run.dtype},
               {"batch", options.batch},          {"dropout", options.network.dropout},
               {"passed", findings.passed()},     {"inverse_allowed", findings.inverse_allowed},
               {"inverse", Json::array()},        {"policies", Json::array()}};
  for (const InverseError& e : findings.inverses)
    json["inverse"].push_back(
        {{"block", e.block}, {"depth", e.depth}, {"error", e.alone}, {"drift", e.drift}});
  for (const AgainstStored& p : findings.policies)
    json["policies"].push_back({{"policy", name_of(p.policy)},
                                {"gradients", json_of(p.gradients, "parameter")},
                                {"losses", json_of(p.losses, "step")},
                                {"running_statistics_equal", p.different_buffers.empty()},
                                {"different_buffers", p.different_buffers},
                                {"decisions", p.decisions.compared},
                                {"decisions_flipped", p.decisions.flipped}});
  return json;
}

std::string verdict(bool passed) { return passed ? "ok" : "OUT OF TOLERANCE"; }

std::string number(double value) { return fmt::format("{:.1e}", value); }

void print_inverses(const Findings& findings) {
  fmt::print(
      "\nInvertibility: the input of each reversible block, rebuilt, against the true one ({} allowed): {}\n",
      number(findings.inverse_allowed), verdict(findings.inverses_passed()));
  if (findings.inverses.empty()) {
    fmt::print("  the network has no reversible blocks\n");
    return;
  }
  Table table({{.title = "  block", .text = true},
               {.title = "depth"},
               {.title = "from its output"},
               {.title = "from the stage's end"}});
  for (const InverseError& e : findings.inverses) {
    const bool power_of_two = (e.depth & (e.depth - 1)) == 0;
    const bool first_of_stage = &e == &findings.inverses.back() || (&e + 1)->depth == 1;
    if (power_of_two || first_of_stage)
      table.add({"  " + e.block, std::to_string(e.depth), number(e.alone), number(e.drift)});
  }
  fmt::print("{}", table.to_string());
}

void print_worst(const std::string& title, std::vector<Comparison> list) {
  const std::size_t count = list.size();
  const auto failed =
      std::count_if(list.begin(), list.end(), [](const Comparison& c) { return !c.passed(); });
  const auto ratio = [](const Comparison& c) { return c.error / c.allowed; };
  std::stable_sort(list.begin(), list.end(),
                   [&](const auto& a, const auto& b) { return ratio(a) > ratio(b); });
  list.resize(std::min(list.size(), kWorstShown));
  fmt::print("  {}: {} compared, {} out of tolerance: {}\n", title, count, failed, verdict(failed == 0));
  Table table(
      {{.title = "    closest to the limit", .text = true}, {.title = "error"}, {.title = "allowed"}});
  for (const Comparison& c : list) table.add({"    " + c.name, number(c.error), number(c.allowed)});
  fmt::print("{}", table.to_string());
}

void print(const CheckOptions& options, const Findings& findings) {
  fmt::print("{} in {}, batch {}, dropout {}\n", options.network.name, options.run.dtype, options.batch,
             options.network.dropout);
  print_inverses(findings);
  for (const AgainstStored& p : findings.policies) {
    fmt::print("\nPolicy {} against stored\n", name_of(p.policy));
    print_worst("gradients of the first step, relative to their norm", p.gradients);
    print_worst(fmt::format("losses of {} steps", p.losses.size()), p.losses);
    fmt::print("  running statistics after a step, bit for bit: {}{}\n", verdict(p.different_buffers.empty()),
               p.different_buffers.empty() ? "" : " (" + p.different_buffers.front() + ", ...)");
    if (is_reversible(p.policy))
      fmt::print(
          "  decisions (of ReLU and the like) of the first step: {} of {} differ on rebuilt values: {}\n",
          p.decisions.flipped, p.decisions.compared,
          p.policy == Policy::reversible ? "these are used" : "forward's are used");
  }
  fmt::print("\n{}\n", findings.passed() ? "All within tolerance." : "Something is out of tolerance.");
}

/// The first `steps` batches of training, without augmentation, in f32.
std::vector<Batch> batches_of(const std::shared_ptr<const Dataset>& data, const CheckOptions& options) {
  Loader loader(data, {.batch_size = options.batch,
                       .seed = options.run.seed,
                       .drop_last = true,
                       .augmentation = {.normalise = data->statistics()},
                       .prefetch = 0,
                       .device = device_of(options.run)});
  std::vector<Batch> batches;
  for (std::int64_t epoch = 0; std::ssize(batches) < options.steps; ++epoch) {
    loader.start_epoch(epoch);
    while (std::ssize(batches) < options.steps) {
      const std::optional<Batch> batch = loader.next();
      if (!batch) break;
      batches.push_back(*batch);
    }
  }
  return batches;
}

}  // namespace

int run_check(const CheckOptions& options) {
  check_use([&] { check_names(options.network, options.data); });
  apply(options.run);
  const std::shared_ptr<Dataset> data = load(options.data, Split::train);
  const AgainstStoredOptions compared{
      .network = network_options(options.network, image_format(*data)), .run = options.run, .lr = options.lr};
  std::vector<Policy> policies;
  const auto network = check_use([&] {
    auto made = make_network(compared.network, options.run, Policy::stored);
    for (const std::string& policy : options.policies) {
      policies.push_back(policy_for(policy, compared.network));
      made->set_policy(policies.back());
    }
    return made;
  });
  const std::vector<Batch> batches = check_use([&] { return batches_of(data, options); });
  const DType dtype = dtype_from_name(options.run.dtype);
  Findings findings{.inverses = invertibility(*network, data->image_shape(), options.batch, dtype),
                    .inverse_allowed = dtype == DType::f64 ? kInverseF64 : kInverseF32,
                    .policies = against_stored(compared, policies, batches)};
  if (options.json)
    fmt::print("{}\n", json_of(options, findings).dump());
  else
    print(options, findings);
  return findings.passed() ? kDone : kFailed;
}

}  // namespace retrace::cli
