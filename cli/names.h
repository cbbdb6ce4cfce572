#pragma once
#include <retrace/nn/safetensors.h>
#include <retrace/revnet/networks.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace retrace::cli {

/// --names: whose names a file of weights uses, `retrace` or `memcnn`. Empty: `retrace`, unless a file that
/// is read tells otherwise in its metadata.
void add_names_option(CLI::App& app, std::string& names);

/// Whose names it is to be: as given, or else from the file's metadata. Throws FormatError for others.
std::string settled_names(const std::string& given, const Metadata& file);

/// The name of each parameter and buffer, by its path.
std::map<std::string, std::string> names_of(ResidualNetwork& network, const std::string& names);

/// Copies a file's tensors into the network, as load_state_dict does.
void load_named(ResidualNetwork& network, const TensorFile& file, const std::string& names);

/// Writes the network's parameters and buffers, and beside them whose names they have.
void save_named(ResidualNetwork& network, const std::filesystem::path& path, Metadata metadata,
                const std::string& names);

}  // namespace retrace::cli
