#include <retrace/core/fail.h>
#include <retrace/core/file.h>
#include <retrace/nn/file_kind.h>
#include <retrace/nn/json.h>
#include <retrace/nn/safetensors.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <set>

namespace retrace {

namespace {

using detail::Json;
using detail::shown;

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr int kMaxDepth = 4;
static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

struct DTypeName {
  DType dtype;
  std::string_view name;
};
constexpr std::array kDTypeNames = {DTypeName{DType::f32, "F32"},   DTypeName{DType::f64, "F64"},
                                    DTypeName{DType::bf16, "BF16"}, DTypeName{DType::f16, "F16"},
                                    DTypeName{DType::u8, "U8"},     DTypeName{DType::i32, "I32"},
                                    DTypeName{DType::i64, "I64"}};

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return visit(tensor.dtype(), [&]<class T>(TypeTag<T>) { return std::as_bytes(tensor.values<T>()); });
}

// ---- writing

void check_text(std::string_view what, const std::string& text) {
  if (!is_utf8(text)) fail<ArgumentError>("save_tensors", "{} must be UTF-8, got '{}'", what, text);
}

void check_texts(const std::vector<Named<Tensor>>& tensors, const Metadata& metadata) {
  std::set<std::string_view> seen;
  for (const auto& [name, tensor] : tensors) {
    check_text("a name", name);
    if (name == kMetadataKey)
      fail<ArgumentError>("save_tensors", "a tensor may have any name but {}, which is the format's own",
                          kMetadataKey);
    if (!seen.insert(name).second)
      fail<ArgumentError>("save_tensors", "each name must occur once, got '{}' twice", name);
  }
  for (const auto& [key, value] : metadata) {
    check_text("a key of the metadata", key);
    check_text("a value of the metadata", value);
  }
}

/// The order of the elements in the file: wide types first, so that each tensor is aligned to its type.
std::vector<std::size_t> layout(const std::vector<Named<Tensor>>& tensors) {
  std::vector<std::size_t> order(tensors.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return size_of(tensors[a].second.dtype()) > size_of(tensors[b].second.dtype());
  });
  return order;
}

std::string header_of(const std::vector<Named<Tensor>>& tensors, const std::vector<std::size_t>& order,
                      const Metadata& metadata) {
  std::vector<std::int64_t> begins(tensors.size());
  std::int64_t end = 0;
  for (const std::size_t i : order) {
    begins[i] = end;
    end += tensors[i].second.bytes();
  }
  Json::object_t header;
  if (!metadata.empty()) header.emplace_back(kMetadataKey, metadata);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    const auto type = std::ranges::find(kDTypeNames, tensor.dtype(), &DTypeName::dtype);
    const std::vector<std::int64_t> shape(tensor.shape().begin(), tensor.shape().end());
    Json entry = {
        {"dtype", type->name}, {"shape", shape}, {"data_offsets", {begins[i], begins[i] + tensor.bytes()}}};
    header.emplace_back(name, std::move(entry));  // `operator[]` would search for the name
  }
  std::string text = Json(std::move(header)).dump();
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes, ' ');
  if (text.size() > kMaxHeaderBytes)
    fail<ArgumentError>("save_tensors", "names, shapes and metadata must take at most {} bytes, got {}",
                        kMaxHeaderBytes, text.size());
  return text;
}

// ---- reading

/// Reads one file's content; every length is checked before it is used.
class Parser {
 public:
  Parser(const std::filesystem::path& path, std::string_view content)
      : path_(path.string()), content_(content) {}

  TensorFile parse() {
    const Json header = parse_header();
    TensorFile file;
    for (const auto& [name, entry] : header.get_ref<const Json::object_t&>()) {
      if (name == kMetadataKey)
        file.metadata = parse_metadata(entry);
      else
        entries_.push_back(parse_entry(name, entry));
    }
    check_coverage();
    for (const Entry& entry : entries_) file.tensors.emplace_back(entry.name, read(entry));
    return file;
  }

 private:
  struct Entry {
    std::string name{};
    DType dtype = DType::f32;
    Shape shape{};
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  template <class... Args>
  [[noreturn]] void reject(fmt::format_string<Args...> text, Args&&... args) const {
    fail<FormatError>("load_tensors", "{} must be a safetensors file, but {}{}", path_,
                      fmt::format(text, std::forward<Args>(args)...), detail::looks_like(content_));
  }

  Json parse_header() {
    if (content_.size() < kLengthBytes)
      reject("it must begin with {} bytes of header length, got {} bytes in all", kLengthBytes,
             content_.size());
    std::uint64_t length = 0;
    std::memcpy(&length, content_.data(), kLengthBytes);
    const std::size_t rest = content_.size() - kLengthBytes;
    if (length > kMaxHeaderBytes && length <= rest)
      reject("its header must have at most {} bytes, got {}", kMaxHeaderBytes, length);
    if (length > rest) reject("its header must have {} bytes, and {} are left in the file", length, rest);
    const std::string_view text = content_.substr(kLengthBytes, length);
    data_ = content_.substr(kLengthBytes + length);

    const Json header = [&] {
      try {
        return detail::parse_json(text, kMaxDepth);
      } catch (const FormatError& error) {
        reject("its header {}", error.what());
      }
    }();
    if (!header.is_object()) reject("its header must be a JSON object, got {}", shown(header));
    return header;
  }

  Metadata parse_metadata(const Json& entry) const {
    if (!entry.is_object()) reject("{} must be a JSON object of strings, got {}", kMetadataKey, shown(entry));
    Metadata metadata;
    for (const auto& [key, value] : entry.get_ref<const Json::object_t&>()) {
      if (!value.is_string())
        reject("{} must hold strings, got {} for '{}'", kMetadataKey, shown(value), key);
      metadata[key] = value.get<std::string>();
    }
    return metadata;
  }

  Entry parse_entry(const std::string& name, const Json& entry) const {
    if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
        !entry.contains("data_offsets"))
      reject("'{}' must have dtype, shape and data_offsets, and nothing else, got {}", name, shown(entry));
    Entry result{
        .name = name, .dtype = parse_dtype(name, entry["dtype"]), .shape = parse_shape(name, entry["shape"])};

    const Json& offsets = entry["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
      reject("the data_offsets of '{}' must be two numbers, got {}", name, shown(offsets));
    result.begin = offsets[0].get<std::uint64_t>();
    result.end = offsets[1].get<std::uint64_t>();
    if (result.begin > result.end || result.end > data_.size())
      reject("the data_offsets of '{}' must lie within the {} bytes of data, got {}", name, data_.size(),
             shown(offsets));
    // data_ bounds the right side, so the left is compared by division: a product could overflow
    const std::uint64_t size = size_of(result.dtype);
    const std::uint64_t covered = result.end - result.begin;
    if (covered % size != 0 || covered / size != static_cast<std::uint64_t>(result.shape.numel()))
      reject("the data_offsets of '{}' must cover {} elements of {} bytes for {}, got {} bytes", name,
             result.shape.numel(), size, result.shape, covered);
    return result;
  }

  DType parse_dtype(const std::string& name, const Json& value) const {
    if (value.is_string()) {
      const auto known =
          std::ranges::find(kDTypeNames, value.get_ref<const std::string&>(), &DTypeName::name);
      if (known != kDTypeNames.end()) return known->dtype;
    }
    reject("the dtype of '{}' must be F32, F64, BF16, F16, U8, I32 or I64, got {}", name, shown(value));
  }

  Shape parse_shape(const std::string& name, const Json& value) const {
    std::vector<std::int64_t> extents;
    bool numbers = value.is_array();
    for (const Json& extent : value) {
      numbers =
          numbers && extent.is_number_unsigned() && extent.get<std::uint64_t>() <= std::uint64_t{1} << 62U;
      if (!numbers) break;
      extents.push_back(extent.get<std::int64_t>());
    }
    if (!numbers) reject("the shape of '{}' must be an array of extents, got {}", name, shown(value));
    try {
      return Shape(extents);
    } catch (const ShapeError& error) {
      reject("the shape of '{}' must be one that retrace has: {}", name, error.what());
    }
  }

  /// Throws unless the tensors cover the data without overlaps and gaps.
  void check_coverage() const {
    std::vector<const Entry*> sorted;
    for (const Entry& entry : entries_) sorted.push_back(&entry);
    std::ranges::sort(sorted, {}, &Entry::begin);
    std::uint64_t end = 0;
    for (const Entry* entry : sorted) {
      if (entry->begin != end)
        reject("'{}' must begin where the tensor before it ends, at {}, got {}", entry->name, end,
               entry->begin);
      end = entry->end;
    }
    if (end != data_.size())
      reject("its tensors must cover all bytes of data, got {} of {}", end, data_.size());
  }

  Tensor read(const Entry& entry) const {
    Tensor tensor(entry.shape, entry.dtype);
    visit(entry.dtype, [&]<class T>(TypeTag<T>) {
      std::memcpy(tensor.mutable_data<T>(), data_.data() + entry.begin, entry.end - entry.begin);
    });
    return tensor;
  }

  std::string path_;
  std::string_view content_;
  std::string_view data_;
  std::vector<Entry> entries_;
};

}  // namespace

void save_tensors(const std::filesystem::path& path, const std::vector<Named<Tensor>>& tensors,
                  const Metadata& metadata) {
  check_texts(tensors, metadata);
  const std::vector<std::size_t> order = layout(tensors);
  const std::string header = header_of(tensors, order, metadata);
  const std::uint64_t length = header.size();
  write_file_atomically(path, [&](FileWriter& file) {
    file.write(std::as_bytes(std::span(&length, 1)));
    file.write(header);
    for (const std::size_t i : order) {
      const Tensor host = on_cpu(tensors[i].second);
      file.write(bytes_of(host));
    }
  });
}

TensorFile load_tensors(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  return Parser(path, content).parse();
}

}  // namespace retrace
