#include <retrace/core/file.h>
#include <retrace/report/check.h>
#include <retrace/report/page.h>

namespace retrace {

namespace {

/// What stands for a part of the template. Each occurs once.
void put(std::string& page, std::string_view place, const std::string& text) {
  page.replace(page.find(place), place.size(), text);
}

/// JSON inside of a script: nothing in it may look like the script's end.
std::string inside_a_script(const std::string& json) {
  std::string result;
  for (const char c : json) result += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return result;
}

}  // namespace

void write_html(const std::filesystem::path& path, const MemoryReport& report) {
  detail::check_report(report);
  std::string page = detail::page_template();
  put(page, "@DATA@", inside_a_script(detail::page_data(report)));
  put(page, "@TITLE@", detail::escaped(report.title));
  write_file_atomically(path, page);
}

}  // namespace retrace
