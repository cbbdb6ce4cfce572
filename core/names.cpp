#include <retrace/core/format.h>
#include <retrace/core/names.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace retrace {

namespace {

/// How many letters must be put in, left out or exchanged (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);  // from the first letters of a to those of b
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t exchanged = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({exchanged, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_name(std::string_view given, const std::vector<std::string>& known) {
  const std::string* nearest = nullptr;
  const std::size_t most = given.size() < 3 ? 1 : std::max<std::size_t>(2, given.size() / 3);
  std::size_t least = most + 1;
  for (const std::string& name : known) {
    const std::size_t letters = distance(given, name);
    if (letters < std::min(least, name.size())) {
      least = letters;
      nearest = &name;
    }
  }
  return nearest == nullptr ? std::string() : *nearest;
}

std::string name_complaint(std::string_view given, const std::vector<std::string>& known) {
  const std::string nearest = nearest_name(given, known);
  return fmt::format("must be one of {}, got '{}'{}", fmt::join(known, ", "), given,
                     nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest));
}

}  // namespace retrace
