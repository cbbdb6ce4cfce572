#pragma once
#include <string>
#include <vector>

namespace retrace::cli {

/// A table for people: a line of titles, then the rows; numbers stand to the right, text to the left.
class Table {
 public:
  struct Column {
    std::string title{};
    bool text = false;  ///< aligned at the left
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// One cell for each column.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string to_string() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace retrace::cli
