#pragma once
#include <retrace/nn/data/augment.h>
#include <retrace/nn/data/dataset.h>
#include <retrace/nn/grad_scaler.h>
#include <retrace/nn/optimizer.h>
#include <retrace/nn/safetensors.h>
#include <retrace/revnet/networks.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace retrace::cli {

/// What a file of weights tells of its network: its name, its shape, its element type.
Metadata network_metadata(const std::string& name, const NetworkOptions& options, const std::string& dtype);
/// What it tells of the images: the data set, and how they were changed on their way into the network.
Metadata data_metadata(const std::string& name, const Dataset& train, const Augmentation& augmentation);

/// The value under `key`, or none.
std::optional<std::string> find(const Metadata& metadata, const std::string& key);
/// The network that a file's metadata describe (see network_metadata), or none if they do not. Throws
/// FormatError for values that are no network, and for a network with more parameters than the file's tensors
/// have elements.
std::optional<NetworkOptions> network_from(const TensorFile& file);
/// How images were normalised, or none.
std::optional<ChannelStatistics> normalisation_from(const Metadata& metadata);

/// The weights in a file: the network's part of a checkpoint, or all that another file holds. Throws
/// FormatError for a checkpoint whose checksum differs, and what load_tensors throws.
TensorFile load_weight_file(const std::filesystem::path& path);

/// What a training computes with from step to step: weights and buffers, the states of the optimizer, and of
/// the scaler where it is enabled.
std::vector<Named<Tensor>> training_state(ResidualNetwork& network, const Optimizer& optimizer,
                                          const GradScaler& scaler);

/// All that a training needs to go on behind `step`: its state, that of the generator, and `options`, with
/// which it must go on. A CRC-32 over names, values and options is beside them.
void save_snapshot(const std::filesystem::path& path, const Metadata& options, ResidualNetwork& network,
                   const Optimizer& optimizer, const GradScaler& scaler, std::int64_t step);

/// Puts everything back and returns the step. Throws UsageError naming the options that differ, FormatError
/// for a file that is no whole checkpoint or whose checksum differs, and IoError. A file without a checksum,
/// as older versions wrote it, is taken.
std::int64_t load_snapshot(const std::filesystem::path& path, const Metadata& options,
                           ResidualNetwork& network, Optimizer& optimizer, GradScaler& scaler);

}  // namespace retrace::cli
