#include <retrace/core/fail.h>
#include <retrace/core/names.h>
#include <retrace/nn/data/cifar.h>
#include <retrace/nn/data/idx.h>
#include <retrace/nn/data/load.h>
#include <retrace/nn/data/synthetic.h>

#include <array>

namespace retrace {

namespace fs = std::filesystem;

namespace {

std::shared_ptr<Dataset> load_synthetic(const fs::path&, Split split) {
  return synthetic({.images = split == Split::train ? 5000 : 1000, .split = split});
}

template <auto Read>
std::shared_ptr<Dataset> load(const fs::path& folder, Split split) {
  return Read(folder, split);
}

struct Entry {
  std::string_view name;
  std::shared_ptr<Dataset> (*load)(const fs::path&, Split);
  std::int64_t pad;
  bool flip;
};

constexpr std::array<Entry, 5> kEntries = {{
    {"cifar10", load<cifar10>, 4, true},
    {"cifar100", load<cifar100>, 4, true},
    {"mnist", load<mnist>, 2, false},
    {"fashion-mnist", load<fashion_mnist>, 2, true},
    {"synthetic", load_synthetic, 0, false},
}};

const Entry& entry_of(std::string_view op, std::string_view name) {
  for (const Entry& entry : kEntries)
    if (entry.name == name) return entry;
  fail<ArgumentError>(op, "the name {}", name_complaint(name, dataset_names()));
}

}  // namespace

std::vector<std::string> dataset_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) names.emplace_back(entry.name);
  return names;
}

std::shared_ptr<Dataset> load_dataset(std::string_view name, const fs::path& folder, Split split) {
  return entry_of("load_dataset", name).load(folder, split);
}

Augmentation usual_augmentation(std::string_view name, const Dataset& train) {
  const Entry& entry = entry_of("usual_augmentation", name);
  return {.pad = entry.pad, .flip = entry.flip, .normalise = train.statistics()};
}

}  // namespace retrace
