#include <retrace/cli/eval.h>
#include <retrace/cli/exit.h>
#include <retrace/cli/names.h>
#include <retrace/cli/snapshot.h>
#include <retrace/cli/step.h>
#include <retrace/core/fail.h>
#include <retrace/nn/data/load.h>

#include <nlohmann/json.hpp>

namespace retrace::cli {

namespace {

/// The options with what the file says in the place of what was not given.
EvalOptions completed(EvalOptions options, const Metadata& metadata) {
  if (options.network.name.empty()) options.network.name = find(metadata, "network").value_or("");
  if (options.data.name.empty()) options.data.name = find(metadata, "data").value_or("");
  for (const auto& [option, value] :
       {std::pair{"--network", options.network.name}, std::pair{"--data", options.data.name}})
    if (value.empty())
      fail<UsageError>("eval", "{} must be given, because {} does not tell", option,
                       options.weights.string());
  return options;
}

/// The options of the network: the file's own, unless another network was asked for.
NetworkOptions network_of(const EvalOptions& options, const TensorFile& file, const Dataset& test) {
  const bool same = find(file.metadata, "network") == options.network.name &&
                    options.network.blocks.empty() && options.network.channels.empty();
  if (same)
    if (const auto from_file = network_from(file)) return *from_file;
  return network_options(options.network, image_format(test));
}

/// The statistics that the training used; without metadata, those of the training images.
ChannelStatistics statistics_for(const EvalOptions& options, const Metadata& metadata) {
  if (find(metadata, "data") == options.data.name)
    if (const auto statistics = normalisation_from(metadata)) return *statistics;
  return load(options.data, Split::train)->statistics();
}

void check_fit(const NetworkOptions& network, const Dataset& test) {
  const ImageFormat images = image_format(test);
  if (network.in_channels != images.shape[0] || network.classes != images.classes)
    fail<UsageError>("eval",
                     "the network takes {} channels and knows {} classes, but the data set has {} and {}",
                     network.in_channels, network.classes, images.shape[0], images.classes);
}

void print(const EvalOptions& options, const Evaluation& result) {
  if (options.json) {
    const nlohmann::ordered_json json = {
        {"weights", options.weights.string()}, {"network", options.network.name},
        {"data", options.data.name},           {"images", result.images},
        {"accuracy", result.accuracy},         {"loss", result.loss}};
    fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));  // of the path
    return;
  }
  fmt::print("{} on {} test images of {}: accuracy {:.2f} %, loss {:.4f}\n", options.network.name,
             result.images, options.data.name, 100 * result.accuracy, result.loss);
}

}  // namespace

int run_eval(const EvalOptions& given) {
  apply(
      {.dtype = "f32", .device = given.device, .seed = 0, .threads = given.threads, .budget = given.budget});
  const TensorFile file = load_weight_file(given.weights);
  const EvalOptions options = completed(given, file.metadata);
  check_use([&] { check_names(options.network, options.data); });
  const std::shared_ptr<Dataset> test = load(options.data, Split::test);
  const NetworkOptions network_options = network_of(options, file, *test);
  check_fit(network_options, *test);

  const RunChoice run{.dtype = find(file.metadata, "dtype").value_or("f32"),
                      .device = options.device,
                      .seed = 0,
                      .threads = 0,
                      .budget = 0};
  const auto network = make_network(network_options, run, Policy::stored);
  load_named(*network, file, options.names);
  LoaderOptions loaded;
  loaded.batch_size = options.batch;
  loaded.augmentation.normalise = statistics_for(options, file.metadata);
  loaded.dtype = dtype_from_name(run.dtype);
  loaded.device = device_of(run);
  Loader loader(test, loaded.for_evaluation());
  print(options, evaluate(*network, loader));
  return kDone;
}

}  // namespace retrace::cli
