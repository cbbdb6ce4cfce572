#include <zlib.h>

#include <retrace/cli/exit.h>
#include <retrace/cli/options.h>
#include <retrace/cli/snapshot.h>
#include <retrace/core/fail.h>
#include <retrace/core/random.h>
#include <retrace/nn/weights.h>

#include <charconv>
#include <span>

namespace retrace::cli {

namespace {

constexpr std::string_view kModel = "model.";
constexpr std::string_view kOptimizer = "optimizer.";
constexpr std::string_view kScaler = "scaler.";
constexpr const char* kStep = "checkpoint.step";
constexpr const char* kGeneratorSeed = "checkpoint.generator-seed";
constexpr const char* kGeneratorStep = "checkpoint.generator-step";
constexpr const char* kChecksum = "checkpoint.crc32";

template <class T>
T number_from(const std::string& text, const std::string& key) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail<FormatError>("weights", "the file's metadata must have a number as '{}', got '{}'", key, text);
  return value;
}

template <class T>
T number_in(const Metadata& metadata, const std::string& key) {
  const std::optional<std::string> text = find(metadata, key);
  if (!text) fail<FormatError>("weights", "the file's metadata must have '{}', got none", key);
  return number_from<T>(*text, key);
}

template <class T>
std::vector<T> numbers_in(const Metadata& metadata, const std::string& key) {
  std::vector<T> numbers;
  const std::optional<std::string> found = find(metadata, key);
  if (!found || found->empty()) return numbers;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t comma = found->find(',', begin);
    numbers.push_back(number_from<T>(found->substr(begin, comma - begin), key));
    if (comma == std::string::npos) return numbers;
    begin = comma + 1;
  }
}

std::string join(const std::vector<double>& numbers) { return fmt::format("{}", fmt::join(numbers, ",")); }

void add_prefixed(std::vector<Named<Tensor>>& all, std::string_view prefix,
                  const std::vector<Named<Tensor>>& tensors) {
  for (const auto& [name, tensor] : tensors) all.emplace_back(std::string(prefix) + name, tensor);
}

std::vector<Named<Tensor>> without_prefix(const std::vector<Named<Tensor>>& all, std::string_view prefix) {
  std::vector<Named<Tensor>> found;
  for (const auto& [name, tensor] : all)
    if (name.starts_with(prefix)) found.emplace_back(name.substr(prefix.size()), tensor);
  return found;
}

/// `--lr was 0.1 and is 0.2, ...`; empty when nothing differs.
std::string differences(const Metadata& then, const Metadata& now) {
  std::vector<std::string> found;
  for (const auto& [key, value] : now) {
    const std::string before = find(then, key).value_or("");
    if (before != value) found.push_back(fmt::format("{} was '{}' and is '{}'", key, before, value));
  }
  return fmt::format("{}", fmt::join(found, ", "));
}

/// The CRC-32 of bytes that are added one after the other.
class Checksum {
 public:
  void add(std::span<const std::byte> bytes) {
    crc_ = ::crc32_z(crc_, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  }
  /// With its length: `ab`, `c` and `a`, `bc` differ.
  void add(const std::string& text) {
    const std::uint64_t size = text.size();
    add(std::as_bytes(std::span(&size, 1)));
    add(std::as_bytes(std::span(text)));
  }
  std::string text() const { return fmt::format("{:08x}", crc_); }

 private:
  uLong crc_ = 0;
};

std::string checksum_of(const std::vector<Named<Tensor>>& tensors, const Metadata& metadata) {
  Checksum sum;
  for (const auto& [key, value] : metadata)
    if (key != kChecksum) {
      sum.add(key);
      sum.add(value);
    }
  for (const auto& [name, tensor] : tensors) {
    sum.add(fmt::format("{} {} {}", name, tensor.dtype(), tensor.shape()));
    const Tensor host = on_cpu(tensor);
    visit(host.dtype(), [&]<class T>(TypeTag<T>) { sum.add(std::as_bytes(host.values<T>())); });
  }
  return sum.text();
}

/// The tensors of a file, of which a checkpoint's are what was written.
TensorFile load_checked(const std::filesystem::path& path) {
  TensorFile file = load_tensors(path);
  const std::optional<std::string> expected = find(file.metadata, kChecksum);
  if (!expected) return file;
  const std::string found = checksum_of(file.tensors, file.metadata);
  if (found != *expected)
    fail<FormatError>("train", "{} must have the checksum {}, got {}: its content has changed", path.string(),
                      *expected, found);
  return file;
}

}  // namespace

Metadata network_metadata(const std::string& name, const NetworkOptions& options, const std::string& dtype) {
  return {{"network", name},
          {"channels", list_of(options.channels)},
          {"blocks", list_of(options.blocks)},
          {"dropout", fmt::format("{}", options.dropout)},
          {"in-channels", std::to_string(options.in_channels)},
          {"classes", std::to_string(options.classes)},
          {"dtype", dtype}};
}

Metadata data_metadata(const std::string& name, const Dataset& train, const Augmentation& augmentation) {
  Metadata metadata = {{"data", name},
                       {"train-images", std::to_string(train.size())},
                       {"pad", std::to_string(augmentation.pad)},
                       {"flip", augmentation.flip ? "yes" : "no"}};
  if (augmentation.normalise) {
    metadata["mean"] = join(augmentation.normalise->mean);
    metadata["stddev"] = join(augmentation.normalise->stddev);
  }
  return metadata;
}

std::optional<std::string> find(const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? std::nullopt : std::optional(found->second);
}

std::optional<NetworkOptions> network_from(const TensorFile& file) {
  const std::optional<std::string> name = find(file.metadata, "network");
  if (!name) return std::nullopt;
  NetworkOptions options = retrace::network_options(*name);
  options.channels = numbers_in<std::int64_t>(file.metadata, "channels");
  options.blocks = numbers_in<std::int64_t>(file.metadata, "blocks");
  options.in_channels = number_in<std::int64_t>(file.metadata, "in-channels");
  options.classes = number_in<std::int64_t>(file.metadata, "classes");
  std::int64_t elements = 0;
  for (const auto& [tensor_name, tensor] : file.tensors) elements += tensor.numel();
  if (const std::int64_t parameters = parameter_count(options); parameters > elements)
    fail<FormatError>("weights",
                      "the file's tensors must hold the {} parameters of the network in its metadata, got {}",
                      parameters, elements);
  return options;
}

std::optional<ChannelStatistics> normalisation_from(const Metadata& metadata) {
  ChannelStatistics statistics{.mean = numbers_in<double>(metadata, "mean"),
                               .stddev = numbers_in<double>(metadata, "stddev")};
  if (statistics.mean.empty()) return std::nullopt;
  return statistics;
}

TensorFile load_weight_file(const std::filesystem::path& path) {
  TensorFile file = load_checked(path);
  if (find(file.metadata, kStep)) file.tensors = without_prefix(file.tensors, kModel);
  return file;
}

std::vector<Named<Tensor>> training_state(ResidualNetwork& network, const Optimizer& optimizer,
                                          const GradScaler& scaler) {
  std::vector<Named<Tensor>> tensors;
  add_prefixed(tensors, kModel, state_dict(network));
  add_prefixed(tensors, kOptimizer, optimizer.state());
  if (scaler.is_enabled()) add_prefixed(tensors, kScaler, scaler.state());
  return tensors;
}

void save_snapshot(const std::filesystem::path& path, const Metadata& options, ResidualNetwork& network,
                   const Optimizer& optimizer, const GradScaler& scaler, std::int64_t step) {
  const std::vector<Named<Tensor>> tensors = training_state(network, optimizer, scaler);
  Metadata metadata = options;
  metadata[kStep] = std::to_string(step);
  metadata[kGeneratorSeed] = std::to_string(generator_state().seed);
  metadata[kGeneratorStep] = std::to_string(generator_state().step);
  metadata[kChecksum] = checksum_of(tensors, metadata);
  save_tensors(path, tensors, metadata);
}

std::int64_t load_snapshot(const std::filesystem::path& path, const Metadata& options,
                           ResidualNetwork& network, Optimizer& optimizer, GradScaler& scaler) {
  const TensorFile file = load_checked(path);
  const auto step = number_in<std::int64_t>(file.metadata, kStep);
  if (step < 0)
    fail<FormatError>("weights", "the file's metadata must have '{}' of at least 0, got {}", kStep, step);
  const GeneratorState generator{.seed = number_in<std::uint64_t>(file.metadata, kGeneratorSeed),
                                 .step = number_in<std::uint64_t>(file.metadata, kGeneratorStep)};
  const std::string different = differences(file.metadata, options);
  if (!different.empty())
    fail<UsageError>("train", "a run must go on with the options that it began with, but in {} {}",
                     path.string(), different);
  load_state_dict(network, without_prefix(file.tensors, kModel));
  optimizer.load_state(without_prefix(file.tensors, kOptimizer));
  if (scaler.is_enabled()) scaler.load_state(without_prefix(file.tensors, kScaler));
  set_generator_state(generator);
  return step;
}

}  // namespace retrace::cli
