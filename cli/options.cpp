#include <retrace/cli/exit.h>
#include <retrace/cli/options.h>
#include <retrace/cli/values.h>
#include <retrace/core/fail.h>
#include <retrace/core/memory.h>
#include <retrace/core/names.h>
#include <retrace/core/random.h>
#include <retrace/core/threads.h>
#include <retrace/cuda/device.h>
#include <retrace/nn/data/load.h>
#include <retrace/nn/option_ranges.h>

#include <algorithm>
#include <array>

namespace retrace::cli {

namespace {

constexpr const char* kAuto = "auto";
constexpr const char* kDirect = "direct";

struct NamedFormat {
  std::string_view data;
  std::int64_t channels;
  std::int64_t size;
  std::int64_t classes;
};

constexpr std::array kFormats = {NamedFormat{"cifar10", 3, 32, 10}, NamedFormat{"cifar100", 3, 32, 100},
                                 NamedFormat{"mnist", 1, 28, 10}, NamedFormat{"fashion-mnist", 1, 28, 10},
                                 NamedFormat{"synthetic", 3, 32, 10}};

template <class T>
void add_policy(CLI::App& app, T& policy, const std::string& help) {
  app.add_option("--policy", policy, help)
      ->check(one_of({kAuto, "stored", "checkpoint", "reversible", "reversible-masks"}))
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("POLICY");
}

}  // namespace

CLI::Option* add_network_options(CLI::App& app, NetworkChoice& choice) {
  CLI::Option* name =
      app.add_option("-n,--network", choice.name, fmt::format("one of {}", fmt::join(network_names(), ", ")))
          ->capture_default_str()
          ->type_name("NAME");
  add_number(app, "--blocks", choice.blocks, kCountRange,
             "blocks of each stage, {}, in place of the network's: 30,30,30")
      ->delimiter(',')
      ->type_name("N,N,N");
  add_number(app, "--channels", choice.channels, kCountRange,
             "channels of the stem and of each stage, {}: 16,16,32,64")
      ->delimiter(',')
      ->type_name("N,N,N,N");
  add_number(app, "--dropout", choice.dropout, kNetworkDropoutRange,
             "probability, {}, in front of the last convolution of each branch")
      ->capture_default_str()
      ->type_name("P");
  return name;
}

void add_data_options(CLI::App& app, DataChoice& choice) {
  app.add_option("-d,--data", choice.name, fmt::format("one of {}", fmt::join(dataset_names(), ", ")))
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option("--data-dir", choice.folder,
                 "folder of its files; (fashion-)mnist looks in /usr/share/datasets by itself")
      ->type_name("DIR");
}

void add_run_options(CLI::App& app, RunChoice& choice) {
  app.add_option("--dtype", choice.dtype, "element type of the computation: f32 or f64")
      ->check(one_of({"f32", "f64"}))
      ->capture_default_str()
      ->type_name("TYPE");
  app.add_option("--conv", choice.conv,
                 "algorithm of convolutions: automatic, the fastest, or direct, which rounds less")
      ->check(one_of({"automatic", kDirect}))
      ->capture_default_str()
      ->type_name("NAME");
  add_number(app, "--seed", choice.seed, SeedRange{},
             "of weights, order, augmentation and dropout; below 2^64")
      ->capture_default_str()
      ->type_name("N");
  add_threads_option(app, choice.threads);
  add_budget_option(app, choice.budget);
  add_device_option(app, choice.device);
}

void add_threads_option(CLI::App& app, int& threads) {
  constexpr IntRange kThreadsRange = IntRange::at_least(1).at_most(4096);
  add_number(app, "-t,--threads", threads, kThreadsRange,
             "{}; results do not depend on it (default: all cores)")
      ->type_name("N");
}

void add_budget_option(CLI::App& app, std::int64_t& budget) {
  app.add_option(
         "--budget", budget,
         "most bytes that tensors may hold, as 512MiB (2^20 each) or 512MB (10^6); beyond it, an error")
      ->transform(bytes())
      ->type_name("BYTES");
}

void add_device_option(CLI::App& app, std::string& device) {
  app.add_option("--device", device, "where the network is: cpu, cuda (the first GPU) or cuda:N")
      ->capture_default_str()
      ->type_name("NAME");
}

void add_policy_option(CLI::App& app, std::string& policy) {
  add_policy(app, policy,
             "how activations come back: stored, checkpoint, reversible, reversible-masks (with forward's "
             "ReLU masks kept), or auto (reversible if it can be)");
}

void add_policy_option(CLI::App& app, std::vector<std::string>& policies) {
  add_policy(
      app, policies,
      "one or several of stored, checkpoint, reversible, reversible-masks (with forward's ReLU masks kept), "
      "auto (reversible if it can be)");
}

ImageFormat image_format(const std::string& data) {
  const auto* found =
      std::find_if(kFormats.begin(), kFormats.end(), [&](const NamedFormat& f) { return f.data == data; });
  if (found == kFormats.end())
    fail<ArgumentError>("data", "the name {}", name_complaint(data, dataset_names()));
  return {.shape = {found->channels, found->size, found->size}, .classes = found->classes};
}

ImageFormat image_format(const Dataset& data) {
  return {.shape = data.image_shape(), .classes = data.classes()};
}

Device device_of(const RunChoice& run) { return cuda::device_from_name(run.device); }

void check_names(const NetworkChoice& network, const DataChoice& data) {
  static_cast<void>(network_options(network, image_format(data.name)));
}

NetworkOptions network_options(const NetworkChoice& choice, const ImageFormat& images) {
  NetworkOptions options = retrace::network_options(choice.name);
  if (!choice.blocks.empty()) options.blocks = choice.blocks;
  if (!choice.channels.empty()) options.channels = choice.channels;
  options.dropout = choice.dropout;
  options.in_channels = images.shape[0];
  options.classes = images.classes;
  return options;
}

Policy policy_for(const std::string& policy, const NetworkOptions& network) {
  if (policy == kAuto) return has_reversible_blocks(network) ? Policy::reversible : Policy::stored;
  return policy_from_name(policy);
}

void apply(const RunChoice& run) {
  if (run.threads > 0) set_num_threads(run.threads);
  ledger(check_use([&] { return device_of(run); })).set_budget(run.budget);
  manual_seed(run.seed);
}

std::shared_ptr<ResidualNetwork> make_network(const NetworkOptions& options, const RunChoice& run,
                                              Policy policy) {
  manual_seed(run.seed);
  auto network = std::make_shared<ResidualNetwork>(options);
  network->to(dtype_from_name(run.dtype));
  network->to(device_of(run));
  network->set_policy(policy);
  if (run.conv == kDirect)
    for (const auto& [name, module] : network->named_modules())
      if (auto* conv = dynamic_cast<Conv2d*>(module)) conv->set_algorithm(Conv2dAlgorithm::direct);
  return network;
}

std::shared_ptr<Dataset> load(const DataChoice& choice, Split split) {
  const auto load = [&] { return load_dataset(choice.name, choice.folder, split); };
  return choice.folder.empty() ? check_use(load) : load();  // some data sets need a folder
}

std::string list_of(const std::vector<std::int64_t>& numbers) {
  return fmt::format("{}", fmt::join(numbers, ","));
}

}  // namespace retrace::cli
