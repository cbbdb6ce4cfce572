#pragma once
#include <retrace/nn/module.h>
#include <retrace/revnet/networks.h>

#include <map>
#include <string>
#include <vector>

namespace retrace {

/// The names of MemCNN's models (its ResNet class) for the same parameters and buffers:
///
///     here                        in MemCNN
///     conv1, bn1, bn_final, fc    the same
///     stage2.0.F.conv1            layer2.0.basicblock_sub.conv1, or bottleneck_sub
///     stage2.0.shortcut_conv      layer2.0.downsample.0
///     stage2.0.shortcut_bn        layer2.0.downsample.1
///     stage1.0.F.conv1            layer1.0.revblock._fn.Fm.conv1, in a coupling
///     stage1.0.G.conv1            layer1.0.revblock._fn.Gm.conv1
///
/// Every parameter's and buffer's path leads to MemCNN's name for it.
std::map<std::string, std::string> memcnn_names(ResidualNetwork& network);

/// state_dict(network) under MemCNN's names: saved as safetensors it loads into MemCNN's model of the same
/// options.
std::vector<Named<Tensor>> memcnn_state_dict(ResidualNetwork& network);

/// Copies the state_dict of MemCNN's model of the same options into the network, as load_state_dict does.
void load_memcnn_state_dict(ResidualNetwork& network, const std::vector<Named<Tensor>>& state);

}  // namespace retrace
