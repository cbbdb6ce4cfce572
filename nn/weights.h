#pragma once
#include <retrace/nn/module.h>
#include <retrace/nn/safetensors.h>

#include <filesystem>
#include <vector>

namespace retrace {

/// A module's parameters, then its buffers, each under its path, sharing their bytes.
std::vector<Named<Tensor>> state_dict(Module& module);

/// Copies `state`, which may be tensors of the module itself, into the module's parameters and buffers; f32
/// widens to f64 exactly. Nothing changes unless all of it fits. Throws ArgumentError for missing, unexpected
/// or repeated names, ShapeError and DTypeError, each with the list of names.
void load_state_dict(Module& module, const std::vector<Named<Tensor>>& state);
/// The same for a module's tensors under names of the caller's, which share the module's bytes.
void load_state_dict(const std::vector<Named<Tensor>>& tensors, const std::vector<Named<Tensor>>& state);

/// Writes state_dict(module) as safetensors. Throws as save_tensors does.
void save_weights(Module& module, const std::filesystem::path& path, const Metadata& metadata = {});

/// Reads safetensors into the module, as load_state_dict does, and returns the file's metadata. Throws as
/// load_tensors and load_state_dict do; every text names the file.
Metadata load_weights(Module& module, const std::filesystem::path& path);

}  // namespace retrace
