#pragma once
#include <retrace/nn/data/augment.h>
#include <retrace/nn/data/loader.h>
#include <retrace/revnet/networks.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace retrace::cli {

/// Which network: a named one, with parts of it changed.
struct NetworkChoice {
  std::string name = "revnet38";
  std::vector<std::int64_t> channels{};  ///< empty: the named network's
  std::vector<std::int64_t> blocks{};    ///< empty: the named network's
  double dropout = 0;
};

/// Which data set, and where its files are.
struct DataChoice {
  std::string name = "synthetic";
  std::filesystem::path folder{};
};

/// How the work is done.
struct RunChoice {
  std::string dtype = "f32";
  std::string device = "cpu";
  std::string conv = "automatic";  ///< a Conv2dAlgorithm
  std::uint64_t seed = 0;
  int threads = 0;          ///< 0: as many as the machine has cores
  std::int64_t budget = 0;  ///< bytes; 0: none
};

CLI::Option* add_network_options(CLI::App& app, NetworkChoice& choice);
void add_data_options(CLI::App& app, DataChoice& choice);
void add_run_options(CLI::App& app, RunChoice& choice);
/// Options of add_run_options that other commands share: --threads, --budget, --device.
void add_threads_option(CLI::App& app, int& threads);
void add_budget_option(CLI::App& app, std::int64_t& budget);
void add_device_option(CLI::App& app, std::string& device);
/// --policy, of which a command may take one or several; `auto` is one of them.
void add_policy_option(CLI::App& app, std::string& policy);
void add_policy_option(CLI::App& app, std::vector<std::string>& policies);

/// What a network must know of the images.
struct ImageFormat {
  Shape shape{};  ///< [C, H, W]
  std::int64_t classes = 0;
};
/// Of a data set whose files need not be there. Throws ArgumentError with the list of known names.
ImageFormat image_format(const std::string& data);
ImageFormat image_format(const Dataset& data);

/// Throws ArgumentError for an unknown name, DeviceError for a GPU that is not there.
Device device_of(const RunChoice& run);

/// Throws ArgumentError for unknown names, with the lists of known ones.
void check_names(const NetworkChoice& network, const DataChoice& data);
/// Throws ArgumentError for what makes no network.
NetworkOptions network_options(const NetworkChoice& choice, const ImageFormat& images);
/// `stored`, ..., or with `auto` `reversible` where the network has reversible blocks. Throws ArgumentError.
Policy policy_for(const std::string& policy, const NetworkOptions& network);

/// Sets threads, budget and seed of this process. Throws ArgumentError.
void apply(const RunChoice& run);
/// The network whose weights the seed decides: the same in f32 and f64, up to the conversion.
std::shared_ptr<ResidualNetwork> make_network(const NetworkOptions& options, const RunChoice& run,
                                              Policy policy);

/// The images of a data set, loaded as every command loads them.
std::shared_ptr<Dataset> load(const DataChoice& choice, Split split);

/// `3,3,3`.
std::string list_of(const std::vector<std::int64_t>& numbers);

}  // namespace retrace::cli
