#include <retrace/nn/weights.h>
#include <retrace/revnet/memcnn_names.h>

#include <set>
#include <string_view>

namespace retrace {

namespace {

constexpr std::string_view kStage = "stage";

/// A block's member, here and in MemCNN.
struct Renamed {
  std::string_view ours;
  std::string_view memcnns;
};

/// `stage2.0.F.conv1.weight` in its parts.
struct BlockPath {
  std::string block;   ///< `stage2.0`
  std::string member;  ///< `F`
  std::string rest;    ///< `.conv1.weight`

  explicit BlockPath(const std::string& path) {
    const std::size_t number = path.find('.') + 1;
    const std::size_t begin = path.find('.', number) + 1;
    const std::size_t end = path.find('.', begin);
    block = path.substr(0, begin - 1);
    member = path.substr(begin, end - begin);
    rest = path.substr(end);
  }
};

std::string renamed(const BlockPath& path, const std::vector<Renamed>& members) {
  const std::string block = "layer" + path.block.substr(kStage.size()) + ".";
  for (const auto& [ours, memcnns] : members)
    if (path.member == ours) return block + std::string(memcnns) + path.rest;
  return block + path.member + path.rest;
}

}  // namespace

std::map<std::string, std::string> memcnn_names(ResidualNetwork& network) {
  const std::vector<Named<Tensor>> state = state_dict(network);
  std::set<std::string> couplings;
  for (const auto& [path, tensor] : state)
    if (path.starts_with(kStage) && BlockPath(path).member == "G") couplings.insert(BlockPath(path).block);

  const std::vector<Renamed> in_coupling = {{"F", "revblock._fn.Fm"}, {"G", "revblock._fn.Gm"}};
  const std::vector<Renamed> in_block = {
      {"F", network.options().bottleneck ? "bottleneck_sub" : "basicblock_sub"},
      {"shortcut_conv", "downsample.0"},
      {"shortcut_bn", "downsample.1"}};
  std::map<std::string, std::string> names;
  for (const auto& [path, tensor] : state) {
    if (!path.starts_with(kStage)) {
      names[path] = path;
      continue;
    }
    const BlockPath parts(path);
    names[path] = renamed(parts, couplings.contains(parts.block) ? in_coupling : in_block);
  }
  return names;
}

std::vector<Named<Tensor>> memcnn_state_dict(ResidualNetwork& network) {
  const std::map<std::string, std::string> names = memcnn_names(network);
  std::vector<Named<Tensor>> state = state_dict(network);
  for (auto& [name, tensor] : state) name = names.at(name);
  return state;
}

void load_memcnn_state_dict(ResidualNetwork& network, const std::vector<Named<Tensor>>& state) {
  load_state_dict(memcnn_state_dict(network), state);
}

}  // namespace retrace
