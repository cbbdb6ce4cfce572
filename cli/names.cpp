#include <retrace/cli/names.h>
#include <retrace/cli/snapshot.h>
#include <retrace/cli/values.h>
#include <retrace/core/fail.h>
#include <retrace/nn/weights.h>
#include <retrace/revnet/memcnn_names.h>

namespace retrace::cli {

namespace {

constexpr const char* kNames = "names";
constexpr const char* kRetrace = "retrace";
constexpr const char* kMemcnn = "memcnn";

}  // namespace

void add_names_option(CLI::App& app, std::string& names) {
  app.add_option("--names", names,
                 "whose names the tensors of weights have: retrace or memcnn (default: retrace, or as a file "
                 "tells)")
      ->check(one_of({kRetrace, kMemcnn}))
      ->type_name("WHOSE");
}

std::string settled_names(const std::string& given, const Metadata& file) {
  if (!given.empty()) return given;
  const std::string names = find(file, kNames).value_or(kRetrace);
  if (names != kRetrace && names != kMemcnn)
    fail<FormatError>("weights", "the file's metadata must have {} or {} as '{}', got '{}'", kRetrace,
                      kMemcnn, kNames, names);
  return names;
}

std::map<std::string, std::string> names_of(ResidualNetwork& network, const std::string& names) {
  if (names == kMemcnn) return memcnn_names(network);
  std::map<std::string, std::string> same;
  for (const auto& [path, tensor] : state_dict(network)) same[path] = path;
  return same;
}

void load_named(ResidualNetwork& network, const TensorFile& file, const std::string& names) {
  if (settled_names(names, file.metadata) == kMemcnn)
    load_memcnn_state_dict(network, file.tensors);
  else
    load_state_dict(network, file.tensors);
}

void save_named(ResidualNetwork& network, const std::filesystem::path& path, Metadata metadata,
                const std::string& names) {
  if (names != kMemcnn) return save_weights(network, path, metadata);
  metadata[kNames] = kMemcnn;
  save_tensors(path, memcnn_state_dict(network), metadata);
}

}  // namespace retrace::cli
