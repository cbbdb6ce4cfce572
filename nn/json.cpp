#include <retrace/core/fail.h>
#include <retrace/nn/json.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace retrace::detail {

namespace {

constexpr std::size_t kMaxShown = 80;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

template <class... Args>
[[noreturn]] void reject(fmt::format_string<Args...> text, Args&&... args) {
  throw FormatError(printable(fmt::format(text, std::forward<Args>(args)...)));
}

/// Builds a value from the parser's events.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(int max_depth) : max_depth_(max_depth) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // not in texts

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (!open_.back().keys.insert(name).second) reject("must have each key once, got {} twice", shown(name));
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
    reject("must be JSON: {}", error.what());
  }

 private:
  struct Open {
    Json* value;
    std::set<std::string> keys{};  // those that an object has
  };

  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (static_cast<int>(open_.size()) == max_depth_)
      reject("must not nest deeper than {} levels", max_depth_);
    open_.push_back({&place(std::move(value))});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  /// Puts a value where the next one belongs. The place stays while no later value is added beside it.
  Json& place(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    Json& parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return parent.back();
    }
    auto& members = parent.get_ref<Json::object_t&>();
    members.emplace_back(std::move(key_), std::move(value));  // `emplace` would search for the key
    return members.back().second;
  }

  int max_depth_;
  Json root_;
  std::vector<Open> open_;
  std::string key_;
};

}  // namespace

Json parse_json(std::string_view text, int max_depth) {
  if (text.starts_with(kByteOrderMark)) reject("must not begin with a byte order mark");
  Builder builder(max_depth);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
  return text;
}

}  // namespace retrace::detail
