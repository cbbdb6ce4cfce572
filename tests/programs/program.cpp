#include "program.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "modules.h"

namespace retrace::fuzz {

std::uint64_t Random::bits() {
  state_ += 0x9E3779B97F4A7C15;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

std::int64_t Random::integer(std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(high - low + 1));
}

std::uint64_t combine(std::uint64_t a, std::uint64_t b) {
  return Random(Random(a).bits() ^ (b * 0xD1B54A32D192ED03)).bits();
}

namespace {

std::string name_of(const Value& value) {
  return value.output == 0 ? fmt::format("v{}", value.statement)
                           : fmt::format("v{}[{}]", value.statement, value.output);
}

std::string list_of(const std::vector<Value>& values) {
  std::vector<std::string> names;
  for (const Value& value : values) names.push_back(name_of(value));
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string line_of(const ModuleSpec& spec) {
  std::vector<std::string> arguments;
  for (const int child : spec.children)
    arguments.push_back(child < 0 ? std::string("none") : fmt::format("m{}", child));
  for (const double number : spec.numbers) arguments.push_back(fmt::format("{:.6g}", number));
  return fmt::format("{}({}){}{}{}", spec.kind, fmt::join(arguments, ", "), spec.evaluation ? " eval" : "",
                     spec.frozen ? " frozen" : "", spec.zero ? " zero" : "");
}

std::string line_of(const Statement& statement) {
  std::vector<std::string> arguments;
  if (statement.module >= 0) arguments.push_back(fmt::format("m{}", statement.module));
  if (!statement.inputs.empty()) arguments.push_back(list_of(statement.inputs));
  for (const double number : statement.numbers) arguments.push_back(fmt::format("{:.6g}", number));
  const char* region = statement.region == Region::no_tape ? "  // without a tape"
                       : statement.region == Region::inner ? "  // gradients of an inner tape"
                                                           : "";
  return fmt::format("{}({}){}", statement.kind, fmt::join(arguments, ", "), region);
}

}  // namespace

std::string to_text(const Program& program) {
  std::string text;
  const std::vector<bool> used = used_modules(program);
  for (std::size_t m = 0; m < program.modules.size(); ++m)
    if (used[m]) text += fmt::format("  m{} = {}\n", m, line_of(program.modules[m]));
  const std::pair<bool, const char*> options[] = {
      {program.zeros, "half of the inputs' elements are 0"},
      {program.steps > 1, "several steps"},
      {program.first_step_unused, "the first step without backward"},
      {program.first_step_fails, "bombs go off in the first step's backward"},
      {program.guards_replaced, "each guard ends after the next one was made"},
      {program.optimizer > 0, "an optimizer runs between steps"},
      {program.drop_values, "variables end after their last use"},
      {program.drop_modules, "modules end before backward"},
      {program.autocast, "under Autocast"},
      {program.reseed_before_backward, "manual_seed before backward"},
      {program.other_thread, "backward on another thread"},
  };
  for (const auto& [set, meaning] : options)
    if (set) text += fmt::format("  // {}\n", meaning);
  for (std::size_t s = 0; s < program.statements.size(); ++s)
    if (!program.statements[s].removed)
      text += fmt::format("  v{} = {}\n", s, line_of(program.statements[s]));
  for (std::size_t p = 0; p < program.passes.size(); ++p)
    text += fmt::format("  backward({{{}}}{})\n", list_of(program.passes[p]),
                        p + 1 < program.passes.size() ? ", retain" : "");
  return text;
}

}  // namespace retrace::fuzz
