#include <retrace/core/fail.h>
#include <retrace/core/scope.h>
#include <retrace/nn/data/idx.h>
#include <retrace/nn/data/input_file.h>
#include <retrace/nn/file_kind.h>

#include <algorithm>
#include <array>

namespace retrace {

namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t kImagesMagic = 0x00000803;  // unsigned bytes, 3 dimensions
constexpr std::uint32_t kLabelsMagic = 0x00000801;  // unsigned bytes, 1 dimension
constexpr std::int64_t kMostBytes = std::int64_t{1} << 40;
constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr std::int64_t kMaxRest = std::int64_t{1} << 20;  // bytes too many that are counted
constexpr int kClasses = 10;

/// A file in IDX form: unsigned bytes and their extents.
struct Idx {
  std::string name;  // of the file
  std::vector<std::int64_t> extents;
  std::vector<std::uint8_t> bytes;
};

std::uint32_t big_endian(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
         bytes[3];
}

fs::path find(std::string_view op, const fs::path& folder, const std::string& name) {
  std::string dotted = name;  // as some archives name it: train-images.idx3-ubyte
  dotted[name.find("-idx")] = '.';
  std::error_code error;
  for (const std::string& known : {name, name + ".gz", dotted, dotted + ".gz"})
    if (fs::exists(folder / known, error)) return folder / known;
  fail<IoError>(op, "{} must exist, plain or with .gz", (folder / name).string());
}

/// The file's extents, whose product is at most kMostBytes.
std::vector<std::int64_t> read_header(std::string_view op, detail::InputFile& file, std::uint32_t magic) {
  std::array<std::uint8_t, 16> header{};
  const std::size_t rank = magic & 0xFF;
  const std::size_t size = 4 + 4 * rank;
  const std::size_t found = file.read(std::span(header).first(size));
  if (found != size) fail<FormatError>(op, "{} must be at least {} bytes, got {}", file.name(), size, found);
  if (big_endian(header.data()) != magic)
    fail<FormatError>(op, "{} must begin with the magic number {:#010x}, got {:#010x}{}", file.name(), magic,
                      big_endian(header.data()), detail::looks_like(std::span(header).first(found)));
  std::vector<std::int64_t> extents;
  std::int64_t bytes = 1;
  for (std::size_t d = 1; d <= rank; ++d) {
    extents.push_back(big_endian(header.data() + 4 * d));
    if (extents.back() < 1 || extents.back() > kMostBytes / bytes)
      fail<FormatError>(
          op, "{} must have extents of at least 1 and at most 2^40 bytes in all, got [{}] in its header",
          file.name(), fmt::join(extents, ","));
    bytes *= extents.back();
  }
  return extents;
}

/// The file's bytes behind its header, `wanted` of them, or fewer where it ends. Memory grows with what the
/// file really holds, not with what its header says.
std::vector<std::uint8_t> read_bytes(detail::InputFile& file, std::size_t wanted) {
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < wanted) {
    const std::size_t done = bytes.size();
    const std::size_t more = std::min(wanted - done, std::max(kPiece, done));
    bytes.resize(done + more);
    const std::size_t found = file.read(std::span(bytes).subspan(done));
    bytes.resize(done + found);
    if (found < more) break;
  }
  return bytes;
}

Idx read_idx(std::string_view op, const fs::path& path, std::uint32_t magic) {
  detail::InputFile file(op, path);
  Idx idx{.name = file.name(), .extents = read_header(op, file, magic), .bytes = {}};
  const auto header = static_cast<std::int64_t>(4 + 4 * idx.extents.size());
  std::int64_t expected = 1;
  for (const std::int64_t extent : idx.extents) expected *= extent;
  const auto check = [&](bool right, std::string_view got, std::int64_t bytes) {
    if (!right)
      fail<FormatError>(op, "{} must be {} bytes{} for the extents [{}] in its header, got {}{}", idx.name,
                        header + expected, path.extension() == ".gz" ? " when inflated" : "",
                        fmt::join(idx.extents, ","), got, bytes);
  };
  check(header + expected <= file.max_bytes(), path.extension() == ".gz" ? "at most " : "", file.max_bytes());
  idx.bytes = read_bytes(file, static_cast<std::size_t>(expected));
  const std::int64_t rest = file.count_rest(kMaxRest);
  const std::int64_t found = static_cast<std::int64_t>(idx.bytes.size()) + rest;
  check(found == expected, rest == kMaxRest ? "at least " : "", header + found);
  return idx;
}

std::shared_ptr<ImageDataset> read(std::string_view op, const fs::path& folder, Split split,
                                   std::vector<std::string> class_names) {
  const std::string prefix = split == Split::train ? "train" : "t10k";
  const Idx images = read_idx(op, find(op, folder, prefix + "-images-idx3-ubyte"), kImagesMagic);
  const Idx labels = read_idx(op, find(op, folder, prefix + "-labels-idx1-ubyte"), kLabelsMagic);
  if (images.extents[0] != labels.extents[0])
    fail<FormatError>(op, "{} must hold one label for each of the {} images of {}, got {}", labels.name,
                      images.extents[0], images.name, labels.extents[0]);
  const auto wrong = std::ranges::find_if(labels.bytes, [](std::uint8_t label) { return label >= kClasses; });
  if (wrong != labels.bytes.end())
    fail<FormatError>(op, "{}: label {} must be in [0,{}), got {}", labels.name, wrong - labels.bytes.begin(),
                      kClasses, *wrong);
  const OpName name(op);
  const Shape shape = {images.extents[0], 1, images.extents[1], images.extents[2]};
  return std::make_shared<ImageDataset>(Tensor::from(std::span(images.bytes), shape),
                                        Tensor::from(std::span(labels.bytes), {labels.extents[0]}),
                                        std::move(class_names));
}

}  // namespace

std::shared_ptr<ImageDataset> mnist(const fs::path& folder, Split split) {
  const fs::path place = folder.empty() ? "/usr/share/datasets/mnist" : folder;
  detail::check_folder("mnist", place, "it holds train-images-idx3-ubyte, plain or with .gz");
  return read("mnist", place, split, {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
}

std::shared_ptr<ImageDataset> fashion_mnist(const fs::path& folder, Split split) {
  const fs::path place = folder.empty() ? "/usr/share/datasets/fashion-mnist" : folder;
  detail::check_folder("fashion-mnist", place, "Debian's package dataset-fashion-mnist installs the data");
  return read("fashion-mnist", place, split,
              {"T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
               "ankle boot"});
}

}  // namespace retrace
