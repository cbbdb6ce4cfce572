#include <retrace/core/error.h>
#include <retrace/nn/weights.h>
#include <retrace/revnet/memcnn_names.h>

#include <algorithm>

#include "../support/catch.h"
#include "../support/throws.h"

using namespace retrace;
using namespace retrace::test;

namespace {

/// A fingerprint of a text: 64-bit FNV-1a.
std::uint64_t fnv1a(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

/// `conv1.weight [32,3,3,3] f32` for each tensor, sorted, a line each.
std::string listing(const std::vector<Named<Tensor>>& state) {
  std::vector<std::string> lines;
  for (const auto& [name, tensor] : state)
    lines.push_back(name + " " + to_string(tensor.shape()) + " " + std::string(name_of(tensor.dtype())) +
                    "\n");
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

NetworkOptions small(std::string_view name) {
  NetworkOptions options = network_options(name);
  options.channels = {4, 4, 4, 8};
  options.blocks = {1, 1, 2};
  return options;
}

std::vector<std::string> names_ending_in(ResidualNetwork& network, std::string_view end) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : memcnn_state_dict(network))
    if (name.ends_with(end)) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("the six networks have MemCNN's names, shapes and element types", "[memcnn_names]") {
  struct Listed {
    std::string_view network;
    std::size_t tensors;
    std::uint64_t hash;
  };
  // Of what MemCNN 1.5.2's models list as their state_dict, with PyTorch 2.15: sorted lines as in `listing`.
  const std::vector<Listed> expected = {
      {"resnet32", 200, 0x76b0ac0011a03473},  {"resnet110", 668, 0x2c0dede506e5eaad},
      {"resnet164", 998, 0xa9fb706e82b4daa6}, {"revnet38", 207, 0x634c10b795dbb52d},
      {"revnet110", 639, 0x77b2a37933b4d7ce}, {"revnet164", 944, 0x5a6993f41ead93e2}};
  for (const auto& [name, tensors, hash] : expected) {
    INFO(name);
    ResidualNetwork network(network_options(name));
    const std::vector<Named<Tensor>> state = memcnn_state_dict(network);
    CHECK(state.size() == tensors);
    CHECK(fnv1a(listing(state)) == hash);
  }
}

TEST_CASE("MemCNN's names follow the kind of each block", "[memcnn_names]") {
  ResidualNetwork revnet(small("revnet38"));
  CHECK(names_ending_in(revnet, "conv1.weight") ==
        std::vector<std::string>{
            "conv1.weight", "layer1.0.revblock._fn.Fm.conv1.weight", "layer1.0.revblock._fn.Gm.conv1.weight",
            "layer2.0.basicblock_sub.conv1.weight", "layer3.0.basicblock_sub.conv1.weight",
            "layer3.1.revblock._fn.Fm.conv1.weight", "layer3.1.revblock._fn.Gm.conv1.weight"});
  ResidualNetwork bottleneck(small("revnet164"));
  CHECK(names_ending_in(bottleneck, "conv1.weight") ==
        std::vector<std::string>{
            "conv1.weight", "layer1.0.bottleneck_sub.conv1.weight", "layer2.0.bottleneck_sub.conv1.weight",
            "layer3.0.bottleneck_sub.conv1.weight", "layer3.1.revblock._fn.Fm.conv1.weight",
            "layer3.1.revblock._fn.Gm.conv1.weight"});
  CHECK(names_ending_in(bottleneck, "running_mean").size() == 1 + 3 + 4 + 4 + 6 + 1);
  ResidualNetwork resnet(small("resnet32"));
  CHECK(names_ending_in(resnet, "downsample.1.running_mean") ==
        std::vector<std::string>{"layer2.0.downsample.1.running_mean", "layer3.0.downsample.1.running_mean"});
  CHECK(memcnn_names(resnet).at("stage2.0.shortcut_conv.weight") == "layer2.0.downsample.0.weight");
}

TEST_CASE("a state under MemCNN's names goes into the tensors that it came from", "[memcnn_names]") {
  for (const std::string_view name : {"revnet38", "resnet164"}) {
    ResidualNetwork from(small(name));
    ResidualNetwork to(small(name));
    load_memcnn_state_dict(to, memcnn_state_dict(from));
    const std::vector<Named<Tensor>> expected = state_dict(from);
    const std::vector<Named<Tensor>> got = state_dict(to);
    for (std::size_t i = 0; i < expected.size(); ++i)
      CHECK(got[i].second.to_vector<double>() == expected[i].second.to_vector<double>());
  }
}

TEST_CASE("a state that is not of MemCNN's model is refused under MemCNN's names", "[memcnn_names]") {
  ResidualNetwork network(small("revnet38"));
  std::vector<Named<Tensor>> state = memcnn_state_dict(network);
  state.front().first = "stem.weight";
  check_throws<ArgumentError>(
      [&] { load_memcnn_state_dict(network, state); },
      "[load_state_dict] the state must have the names of the module's parameters and "
      "buffers, but it lacks conv1.weight and it has unexpected stem.weight");
}
