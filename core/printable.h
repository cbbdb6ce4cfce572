#pragma once
// Internal: not installed.
#include <string>
#include <string_view>

namespace retrace {

/// Text from a file or a user as one line that a terminal only prints: control characters, marks that change
/// the direction of writing, and bytes that are not UTF-8 become `\n`, `\t`, `\x1b`, `\u202e`. All else, a
/// backslash included, stays, so printable(printable(text)) == printable(text).
std::string printable(std::string_view text);

/// Whether `text` is UTF-8 (RFC 3629).
bool is_utf8(std::string_view text);

}  // namespace retrace
