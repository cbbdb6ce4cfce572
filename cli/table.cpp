#include <retrace/cli/table.h>
#include <retrace/core/format.h>

#include <algorithm>

namespace retrace::cli {

std::string Table::to_string() const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t width = columns_[c].title.size();
    for (const auto& row : rows_) width = std::max(width, row[c].size());
    widths.push_back(width);
  }
  std::string text;
  const auto line = [&](const auto& cell_at) {
    std::string row;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string_view cell = cell_at(c);
      row +=
          columns_[c].text ? fmt::format("{:<{}}", cell, widths[c]) : fmt::format("{:>{}}", cell, widths[c]);
      if (c + 1 < columns_.size()) row += "  ";
    }
    text += row.substr(0, row.find_last_not_of(' ') + 1) + "\n";
  };
  line([&](std::size_t c) -> std::string_view { return columns_[c].title; });
  for (const auto& cells : rows_) line([&](std::size_t c) -> std::string_view { return cells[c]; });
  return text;
}

}  // namespace retrace::cli
