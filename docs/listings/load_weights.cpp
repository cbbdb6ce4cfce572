// Weights that another program has written under its own names.
#include <retrace/retrace.h>

#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <vector>

using namespace retrace;

namespace {

// [network]
Sequential make_network() {
  Sequential network;
  network.append("conv", Conv2d(3, 8, {.kernel = 3, .padding = 1}));
  network.append("norm", BatchNorm2d(8));
  network.append("relu", ReLU());
  return network;
}
// [/network]

// [names]
/// The other program's name for a tensor, as ours: `features.0.weight` -> `conv.weight`.
std::string our_name(const std::string& theirs) {
  const std::map<std::string, std::string> prefixes = {{"features.0.", "conv."}, {"features.1.", "norm."}};
  for (const auto& [prefix, ours] : prefixes)
    if (theirs.starts_with(prefix)) return ours + theirs.substr(prefix.size());
  return theirs;  // load_state_dict says which names do not fit
}
// [/names]

/// What a network of PyTorch's, `features = nn.Sequential(nn.Conv2d(...), nn.BatchNorm2d(...), nn.ReLU())`,
/// has in its state_dict.
void write_as_pytorch_does(const std::filesystem::path& file) {
  Sequential theirs = make_network();
  std::vector<Named<Tensor>> state;
  for (const auto& [name, tensor] : state_dict(theirs))
    state.emplace_back((name.starts_with("conv.") ? "features.0." : "features.1.") + name.substr(5), tensor);
  save_tensors(file, state, {{"format", "pt"}});
}

}  // namespace

int main() {
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "load_weights.safetensors";
  write_as_pytorch_does(file);
  // [load]
  Sequential network = make_network();
  std::vector<Named<Tensor>> state = load_tensors(file).tensors;
  for (auto& [name, tensor] : state) name = our_name(name);
  load_state_dict(network, state);  // all of it fits, or nothing changes
  // [/load]
  for (const auto& [name, tensor] : state_dict(network)) std::cout << name << " " << tensor.shape() << "\n";

  // [misfit]
  state.pop_back();
  try {
    load_state_dict(network, state);
  } catch (const ArgumentError& error) {
    std::cout << error.what() << "\n";
  }
  // [/misfit]
  std::filesystem::remove(file);
}
