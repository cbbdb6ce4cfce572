#include <retrace/core/fail.h>
#include <retrace/core/scope.h>
#include <retrace/nn/data/cifar.h>
#include <retrace/nn/data/input_file.h>
#include <retrace/nn/file_kind.h>

#include <algorithm>
#include <array>

namespace retrace {

namespace fs = std::filesystem;

namespace {

constexpr std::array<const char*, 10> kCifar10Classes = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                         "dog",      "frog",       "horse", "ship", "truck"};

constexpr std::array<const char*, 100> kCifar100Classes = {
    "apple",      "aquarium_fish", "baby",         "bear",       "beaver",      "bed",         "bee",
    "beetle",     "bicycle",       "bottle",       "bowl",       "boy",         "bridge",      "bus",
    "butterfly",  "camel",         "can",          "castle",     "caterpillar", "cattle",      "chair",
    "chimpanzee", "clock",         "cloud",        "cockroach",  "couch",       "crab",        "crocodile",
    "cup",        "dinosaur",      "dolphin",      "elephant",   "flatfish",    "forest",      "fox",
    "girl",       "hamster",       "house",        "kangaroo",   "keyboard",    "lamp",        "lawn_mower",
    "leopard",    "lion",          "lizard",       "lobster",    "man",         "maple_tree",  "motorcycle",
    "mountain",   "mouse",         "mushroom",     "oak_tree",   "orange",      "orchid",      "otter",
    "palm_tree",  "pear",          "pickup_truck", "pine_tree",  "plain",       "plate",       "poppy",
    "porcupine",  "possum",        "rabbit",       "raccoon",    "ray",         "road",        "rocket",
    "rose",       "sea",           "seal",         "shark",      "shrew",       "skunk",       "skyscraper",
    "snail",      "snake",         "spider",       "squirrel",   "streetcar",   "sunflower",   "sweet_pepper",
    "table",      "tank",          "telephone",    "television", "tiger",       "tractor",     "train",
    "trout",      "tulip",         "turtle",       "wardrobe",   "whale",       "willow_tree", "wolf",
    "woman",      "worm"};

constexpr std::int64_t kPixels = 3 * 32 * 32;
constexpr std::int64_t kRecordsAtOnce = 500;

/// How one of the two data sets lies in its files.
struct Layout {
  std::string_view op;
  std::string_view folder;   // in the published archive
  std::int64_t label_bytes;  // the last one counts
  std::vector<std::string> train_files;
  std::int64_t train_records;  // in each file
  std::string test_file;
  std::int64_t test_records;  // at most
  std::span<const char* const> class_names;

  std::int64_t record_bytes() const { return label_bytes + kPixels; }
  std::int64_t classes() const { return static_cast<std::int64_t>(class_names.size()); }
};

/// A file whose size was checked.
struct Part {
  fs::path path;
  std::int64_t records;
};

/// For an error about a file of another size: what it looks like.
std::string looks_like(std::string_view op, const fs::path& path) {
  std::array<std::uint8_t, 64> first{};
  const std::size_t found = detail::InputFile(op, path).read(first);
  return detail::looks_like(std::span(first).first(found));
}

Part check_part(const Layout& layout, const fs::path& path, Split split) {
  const std::int64_t bytes = detail::file_bytes(layout.op, path);
  const std::int64_t record = layout.record_bytes();
  if (split == Split::train) {
    if (bytes != layout.train_records * record)
      fail<FormatError>(layout.op, "{} must be {} bytes ({} records of {}), got {}{}", path.string(),
                        layout.train_records * record, layout.train_records, record, bytes,
                        looks_like(layout.op, path));
    return {path, layout.train_records};
  }
  const std::int64_t records =
      std::clamp<std::int64_t>((bytes + record - 1) / record, 1, layout.test_records);
  if (bytes != records * record)
    fail<FormatError>(layout.op, "{} must be {} bytes ({} records of {}, at most {}), got {}{}",
                      path.string(), records * record, records, record, layout.test_records, bytes,
                      looks_like(layout.op, path));
  return {path, records};
}

void read_part(const Layout& layout, const Part& part, std::span<std::uint8_t> images,
               std::span<std::uint8_t> labels) {
  const std::int64_t record = layout.record_bytes();
  std::vector<std::uint8_t> buffer(static_cast<std::size_t>(std::min(part.records, kRecordsAtOnce) * record));
  detail::InputFile file(layout.op, part.path);
  for (std::int64_t r = 0; r < part.records; ++r) {
    const std::int64_t at = r % kRecordsAtOnce;
    if (at == 0) {
      const std::int64_t wanted = std::min(part.records - r, kRecordsAtOnce) * record;
      if (file.read(std::span(buffer).first(static_cast<std::size_t>(wanted))) !=
          static_cast<std::size_t>(wanted))
        fail<IoError>(layout.op, "{} must not shrink while it is read", file.name());
    }
    const std::uint8_t* bytes = buffer.data() + at * record;
    const std::uint8_t label = bytes[layout.label_bytes - 1];
    if (label >= layout.classes())
      fail<FormatError>(layout.op, "{}: the label of record {} must be in [0,{}), got {}", file.name(), r,
                        layout.classes(), label);
    labels[static_cast<std::size_t>(r)] = label;
    std::copy_n(bytes + layout.label_bytes, kPixels, images.data() + r * kPixels);
  }
}

std::shared_ptr<ImageDataset> read(const Layout& layout, const fs::path& given, Split split) {
  const std::string first_file = split == Split::train ? layout.train_files.front() : layout.test_file;
  detail::check_folder(layout.op, given, fmt::format("it holds {}", first_file));
  std::error_code error;
  const fs::path folder = fs::is_directory(given / layout.folder, error) ? given / layout.folder : given;

  std::vector<Part> parts;
  std::int64_t records = 0;
  const std::vector<std::string> names =
      split == Split::train ? layout.train_files : std::vector{layout.test_file};
  for (const std::string& name : names) {
    parts.push_back(check_part(layout, folder / name, split));
    records += parts.back().records;
  }

  const OpName op(layout.op);
  Tensor images({records, 3, 32, 32}, DType::u8, Tag::data);
  Tensor labels({records}, DType::u8, Tag::data);
  std::span<std::uint8_t> image_bytes = images.mutable_values<std::uint8_t>();
  std::span<std::uint8_t> label_bytes = labels.mutable_values<std::uint8_t>();
  for (const Part& part : parts) {
    read_part(layout, part, image_bytes, label_bytes);
    image_bytes = image_bytes.subspan(static_cast<std::size_t>(part.records * kPixels));
    label_bytes = label_bytes.subspan(static_cast<std::size_t>(part.records));
  }
  std::vector<std::string> class_names(layout.class_names.begin(), layout.class_names.end());
  return std::make_shared<ImageDataset>(images, labels, std::move(class_names));
}

}  // namespace

std::shared_ptr<ImageDataset> cifar10(const fs::path& folder, Split split) {
  const Layout layout = {.op = "cifar10",
                         .folder = "cifar-10-batches-bin",
                         .label_bytes = 1,
                         .train_files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                         "data_batch_4.bin", "data_batch_5.bin"},
                         .train_records = 10000,
                         .test_file = "test_batch.bin",
                         .test_records = 10000,
                         .class_names = kCifar10Classes};
  return read(layout, folder, split);
}

std::shared_ptr<ImageDataset> cifar100(const fs::path& folder, Split split) {
  const Layout layout = {.op = "cifar100",
                         .folder = "cifar-100-binary",
                         .label_bytes = 2,
                         .train_files = {"train.bin"},
                         .train_records = 50000,
                         .test_file = "test.bin",
                         .test_records = 10000,
                         .class_names = kCifar100Classes};
  return read(layout, folder, split);
}

}  // namespace retrace
