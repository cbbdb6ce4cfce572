#include <retrace/cli/values.h>
#include <retrace/core/names.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>

namespace retrace::cli {

namespace {

/// The number that all of `text` is, or none.
template <class T>
std::optional<T> number_in(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

template <class T>
CLI::Validator validator(const Range<T>& range, const char* kind) {
  const auto complaint = [range, kind](const std::string& text) {
    const std::optional<T> value = number_in<T>(text);
    return value ? range.complaint(*value) : fmt::format("must be {} {}, got '{}'", kind, range.text(), text);
  };
  return CLI::Validator(complaint, "");
}

struct Unit {
  std::string_view name;  // in small letters
  std::int64_t bytes;
};

constexpr std::int64_t kKilo = 1000;
constexpr std::int64_t kMega = 1000 * kKilo;
constexpr std::int64_t kGiga = 1000 * kMega;
constexpr std::int64_t kKibi = 1024;
constexpr std::int64_t kMebi = 1024 * kKibi;
constexpr std::int64_t kGibi = 1024 * kMebi;
constexpr std::array kUnits = {Unit{"", 1},        Unit{"b", 1},
                               Unit{"kb", kKilo},  Unit{"mb", kMega},
                               Unit{"gb", kGiga},  Unit{"tb", 1000 * kGiga},
                               Unit{"kib", kKibi}, Unit{"mib", kMebi},
                               Unit{"gib", kGibi}, Unit{"tib", 1024 * kGibi}};

std::optional<std::int64_t> bytes_in(const std::string& text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::string unit = text.substr(digits);
  std::ranges::transform(unit, unit.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto* found = std::ranges::find(kUnits, unit, &Unit::name);
  const auto number = number_in<std::int64_t>(std::string_view(text).substr(0, digits));
  if (!number || found == kUnits.end() || *number > std::numeric_limits<std::int64_t>::max() / found->bytes)
    return std::nullopt;
  return *number * found->bytes;
}

}  // namespace

CLI::Validator in(const RealRange& range) { return validator(range, "a number"); }
CLI::Validator in(const IntRange& range) { return validator(range, "a whole number"); }
CLI::Validator in(const SeedRange& range) { return validator(range, "a whole number"); }

CLI::Validator one_of(const std::vector<std::string>& names) {
  const auto complaint = [names](const std::string& given) {
    return std::ranges::count(names, given) > 0 ? std::string() : name_complaint(given, names);
  };
  return CLI::Validator(complaint, "");
}

CLI::Validator bytes() {
  const auto convert = [](std::string& text) {
    const std::optional<std::int64_t> value = bytes_in(text);
    if (!value)
      return fmt::format(
          "must be a whole number of bytes below 2^63, as 64MB (10^6) or 64MiB (2^20), got '{}'", text);
    text = std::to_string(*value);
    return std::string();
  };
  return CLI::Validator(convert, "");
}

}  // namespace retrace::cli
