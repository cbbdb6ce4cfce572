#pragma once
// Internal: not installed.
#include <retrace/core/error.h>

#include <nlohmann/json.hpp>
#include <string_view>

namespace retrace::detail {

/// JSON whose objects keep the order of their keys. Looking a key up takes time linear in their number.
using Json = nlohmann::ordered_json;

/// Reads JSON from a file that may be hostile, in time nearly linear in its length (nlohmann's own way to
/// reject repeated keys, and to add to ordered objects, is quadratic). Throws FormatError whose text
/// completes "the header ...", unless `text` is JSON without a byte order mark, whose objects and arrays nest
/// at most `max_depth` deep (so that recursive functions such as `dump` are safe) and have each key once.
Json parse_json(std::string_view text, int max_depth);

/// A part of a JSON text for an error: its beginning.
std::string shown(const Json& value);

}  // namespace retrace::detail
