#include <retrace/core/format.h>
#include <retrace/core/printable.h>

#include <cstddef>
#include <cstdint>

namespace retrace {

namespace {

constexpr std::uint32_t kNoCharacter = 0xFFFFFFFF;

/// A character of UTF-8 and the number of its bytes; kNoCharacter and 1 where there is none (RFC 3629).
struct Decoded {
  std::uint32_t character = kNoCharacter;
  std::size_t bytes = 1;
};

Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  std::uint32_t character = lead & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    character = character << 6 | (byte(i) & 0x3FU);
  }
  const bool overlong = (bytes == 3 && character < 0x800) || (bytes == 4 && character < 0x10000);
  const bool surrogate = character >= 0xD800 && character < 0xE000;
  if (overlong || surrogate || character > 0x10FFFF) return {};
  return {character, bytes};
}

bool is_control(std::uint32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

/// Marks of direction, and line separators: they change how the text around them is shown.
bool changes_layout(std::uint32_t c) {
  return c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const auto [character, bytes] = decode(text);
    if (character == '\n')
      result += "\\n";
    else if (character == '\t')
      result += "\\t";
    else if (character == kNoCharacter || (is_control(character) && bytes == 1))
      result += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(text[0]));
    else if (is_control(character) || changes_layout(character))
      result += fmt::format("\\u{:04x}", character);
    else
      result += text.substr(0, bytes);
    text.remove_prefix(bytes);
  }
  return result;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto [character, bytes] = decode(text);
    if (character == kNoCharacter) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace retrace
