#pragma once
// Internal: of what the page consists.
#include <retrace/report/write.h>

#include <string>

namespace retrace::detail {

/// page/page.html with its style and its script in it; embed.py makes the function when retrace is built.
std::string page_template();

/// The report as the JSON that page/page.js reads. Compact: texts and kinds of allocations are numbered,
/// times and the ends of allocations are differences. page.js says how it is read.
std::string page_data(const MemoryReport& report);

}  // namespace retrace::detail
