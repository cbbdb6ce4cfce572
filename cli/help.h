#pragma once
#include <CLI/CLI.hpp>
#include <string>

namespace retrace::cli {

/// Help texts that are the same with every version of CLI11, which writes an option's default as `N=3` before
/// 2.3 and as `N [3]` since.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    if (!option->get_option_text().empty()) return " " + option->get_option_text();
    std::string text;
    if (option->get_type_size() != 0) {
      if (!option->get_type_name().empty()) text += " " + get_label(option->get_type_name());
      if (!option->get_default_str().empty()) text += "=" + option->get_default_str();
      if (option->get_expected_max() == CLI::detail::expected_max_vector_size) text += " ...";
      if (option->get_required()) text += " " + get_label("REQUIRED");
    }
    text += names(" Needs:", option->get_needs());
    text += names(" Excludes:", option->get_excludes());
    return text;
  }

 private:
  template <class Options>
  static std::string names(std::string text, const Options& options) {
    if (options.empty()) return {};
    for (const CLI::Option* option : options) text += " " + option->get_name();
    return text;
  }
};

}  // namespace retrace::cli
