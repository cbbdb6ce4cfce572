#include <retrace/autograd/tape.h>
#include <retrace/cli/exit.h>
#include <retrace/cli/info.h>
#include <retrace/cli/table.h>
#include <retrace/core/format.h>
#include <retrace/core/memory.h>

#include <cxxabi.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace retrace::cli {

namespace {

struct Layer {
  std::string path{};
  std::string type{};
  std::int64_t parameters = 0;  ///< of the layer itself, not of the ones inside it
  std::int64_t parameter_bytes = 0;
  std::int64_t activation_bytes = 0;  ///< kept after a stored forward, by the layer and what is inside it
};

/// `Conv2d`: the name of the object's class.
std::string type_of(const Module& module) {
  int status = 0;
  char* name = abi::__cxa_demangle(typeid(module).name(), nullptr, nullptr, &status);
  std::string text = status == 0 ? name : typeid(module).name();
  std::free(name);
  const std::size_t colon = text.rfind("::");
  return colon == std::string::npos ? text : text.substr(colon + 2);
}

std::string parent_of(const std::string& path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

/// Bytes that a stored forward keeps, by the path of the module in which they were made.
std::map<std::string, std::int64_t> bytes_by_path(ResidualNetwork& network, const Shape& image,
                                                  std::int64_t batch) {
  std::map<std::string, std::int64_t> bytes;
  const Tensor x = Tensor::zeros({batch, image[0], image[1], image[2]}, DType::f32);
  const Tape tape;
  const Var y = network(x);
  for (const AllocationRecord& record : ledger().alive(kStepTags))
    bytes[path_of(record.scope)] += record.bytes;
  return bytes;
}

/// The network under "", and all modules below it in the order of the forward pass.
std::vector<Layer> layers_of(ResidualNetwork& network, const Shape& image, std::int64_t batch) {
  std::map<std::string, Layer> sums;
  for (const auto& [path, parameter] : network.named_parameters()) {
    Layer& layer = sums[parent_of(path)];
    layer.parameters += parameter->value().numel();
    layer.parameter_bytes += parameter->value().bytes();
  }
  for (const auto& [path, bytes] : bytes_by_path(network, image, batch))
    for (std::string above = path;; above = parent_of(above)) {
      sums[above].activation_bytes += bytes;
      if (above.empty()) break;
    }
  std::vector<Layer> layers;
  std::set<std::string> seen;
  for (const auto& [path, module] : network.named_modules()) {
    if (!seen.insert(path).second) continue;  // a transparent child
    Layer layer = sums[path];
    layer.path = path;
    layer.type = type_of(*module);
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::string print_text(const InfoOptions& options, const NetworkOptions& network, std::int64_t parameters,
                       const std::vector<Layer>& layers, std::int64_t total) {
  Table table({{.title = "layer", .text = true},
               {.title = "type", .text = true},
               {.title = "parameters"},
               {.title = "bytes"},
               {.title = "activations"}});
  for (const Layer& layer : layers)
    table.add({layer.path, layer.type, layer.parameters > 0 ? std::to_string(layer.parameters) : "",
               layer.parameters > 0 ? std::to_string(layer.parameter_bytes) : "",
               std::to_string(layer.activation_bytes)});
  return fmt::format(
      "{}: channels {}, blocks {}, {} input channels, {} classes\n\n{}\n"
      "{} parameters ({} in f32). activations: bytes that the policy stored keeps after forward, the ones of "
      "a\n"
      "layer's inner layers included, at batch {}: {} in all.\n",
      options.network.name, list_of(network.channels), list_of(network.blocks), network.in_channels,
      network.classes, table.to_string(), parameters, format_bytes(parameters * 4), options.batch,
      format_bytes(total));
}

nlohmann::ordered_json json_of(const InfoOptions& options, const NetworkOptions& network,
                               std::int64_t parameters, const std::vector<Layer>& layers,
                               std::int64_t total) {
  nlohmann::ordered_json json = {
      {"network", options.network.name},    {"channels", network.channels},
      {"blocks", network.blocks},           {"reversible", network.reversible},
      {"in_channels", network.in_channels}, {"classes", network.classes},
      {"parameters", parameters},           {"batch", options.batch},
      {"activation_bytes", total},          {"layers", nlohmann::ordered_json::array()}};
  for (const Layer& layer : layers)
    json["layers"].push_back({{"path", layer.path},
                              {"type", layer.type},
                              {"parameters", layer.parameters},
                              {"parameter_bytes", layer.parameter_bytes},
                              {"activation_bytes", layer.activation_bytes}});
  return json;
}

}  // namespace

int run_info(const InfoOptions& options) {
  const ImageFormat images = check_use([&] { return image_format(options.data.name); });
  const NetworkOptions network_options =
      check_use([&] { return cli::network_options(options.network, images); });
  const auto network = check_use([&] { return make_network(network_options, {}, Policy::stored); });
  std::vector<Layer> layers = layers_of(*network, images.shape, options.batch);
  const std::int64_t parameters = network->parameter_count();
  const std::int64_t total = layers.front().activation_bytes;
  layers.erase(layers.begin());  // the network itself
  if (options.json)
    fmt::print("{}\n", json_of(options, network_options, parameters, layers, total).dump());
  else
    fmt::print("{}", print_text(options, network_options, parameters, layers, total));
  return kDone;
}

}  // namespace retrace::cli
