#pragma once
// Internal: what the writers share.
#include <retrace/report/write.h>

namespace retrace::detail {

/// Throws ArgumentError for a report without a recording.
void check_report(const MemoryReport& report);

/// The events that only say what was alive at the start.
std::size_t events_at_start(const Recording& recording);

/// By how many bytes an event changes what is alive.
std::int64_t change_of(const Counter::Event& event);

/// The end of phase number p: the begin of the next one, or the recording's.
Recording::Moment end_of_phase(const Recording& recording, std::size_t p);

/// As text between the tags of HTML or XML.
std::string escaped(std::string_view text);

}  // namespace retrace::detail
