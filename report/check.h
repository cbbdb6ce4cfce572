#pragma once
// Internal: what the writers share.
#include <retrace/report/write.h>

namespace retrace::detail {

/// Throws ArgumentError for a report without a recording.
void check_report(const MemoryReport& report);

/// The events that only say what was alive at the start.
std::size_t events_at_start(const Recording& recording);

/// As text between the tags of HTML or XML.
std::string escaped(std::string_view text);

}  // namespace retrace::detail
