#pragma once
// Internal: not installed.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace retrace::detail {

/// For an error about a file of another format: `; it looks like an HTML page, ...`, judged by its first
/// bytes. Empty for what is not known.
std::string looks_like(std::string_view first_bytes);
std::string looks_like(std::span<const std::uint8_t> first_bytes);

}  // namespace retrace::detail
