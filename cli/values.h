#pragma once
#include <retrace/core/format.h>
#include <retrace/core/range.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace retrace::cli {

/// Accept the text of a number in the range, alone or as an element of a list.
CLI::Validator in(const RealRange& range);
CLI::Validator in(const IntRange& range);   ///< of a whole number
CLI::Validator in(const SeedRange& range);  ///< of a seed

/// Accepts one of some names.
CLI::Validator one_of(const std::vector<std::string>& names);

/// Turns a size in bytes with or without a unit, as 64MB (10^6) or 64MiB (2^20), into plain bytes.
CLI::Validator bytes();

/// An option that takes numbers of a range; `{}` in the help text stands for the range.
template <class Value, class Number>
CLI::Option* add_number(CLI::App& app, const std::string& names, Value& value, const Range<Number>& range,
                        const std::string& help) {
  return app.add_option(names, value, fmt::format(fmt::runtime(help), range.text()))->check(in(range));
}

}  // namespace retrace::cli
