#include <retrace/cli/exit.h>
#include <retrace/cli/recipes.h>
#include <retrace/core/fail.h>
#include <retrace/core/file.h>
#include <retrace/core/names.h>
#include <retrace/nn/json.h>

#include <CLI/CLI.hpp>
#include <algorithm>

namespace retrace::cli {

namespace {

using retrace::detail::Json;
using retrace::detail::shown;

constexpr const char* kBase = "base";
constexpr int kMaxDepth = 4;               // recipes, options, a list of values
constexpr std::size_t kMaxAncestors = 64;  // of a recipe
constexpr std::array kNotInRecipes = {"help", "recipe", "recipes"};

// MemCNN's experiments. They lower the rate for their steps 40000 and 60000; --lr-steps are the steps before.
constexpr const char* kBuiltIn = R"({
  "resnet32": {
    "network": "resnet32", "data": "cifar10", "batch": 100, "steps": 80000,
    "optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "weight-decay": 2e-4,
    "lr-schedule": "steps", "lr-steps": [39999, 59999], "lr-decay": 0.1, "pad": 2, "flip": true
  },
  "resnet110": {"base": "resnet32", "network": "resnet110"},
  "resnet164": {"base": "resnet110", "network": "resnet164"},
  "revnet38": {"base": "resnet32", "network": "revnet38"},
  "revnet110": {"base": "revnet38", "network": "revnet110"},
  "revnet164": {"base": "revnet110", "network": "revnet164"}
})";

template <class... Args>
[[noreturn]] void reject(const std::string& source, fmt::format_string<Args...> text, Args&&... args) {
  fail<FormatError>("recipe", "{} must hold recipes in JSON, but {}", source,
                    fmt::format(text, std::forward<Args>(args)...));
}

/// A string, a number or a truth value as the command line has it; none for others.
std::optional<std::string> text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return std::nullopt;
}

std::vector<std::string> texts_of(const std::string& source, const std::string& key, const Json& value) {
  std::vector<std::string> texts;
  for (const Json& item : value.is_array() ? value : Json::array({value})) {
    const std::optional<std::string> text = text_of(item);
    if (!text)
      reject(source, "{} must be a string, a number, true, false, or a list of these, got {}", key,
             shown(value));
    texts.push_back(*text);
  }
  return texts;
}

/// Two recipes in one: the first one's values hold. A length in steps and one in epochs are the same thing.
void inherit(Recipe& recipe, const Recipe& base) {
  for (const auto& [key, values] : base) {
    const bool other_length =
        (key == "steps" && recipe.contains("epochs")) || (key == "epochs" && recipe.contains("steps"));
    if (!other_length) recipe.emplace(key, values);
  }
}

}  // namespace

Recipes::Recipes(const std::filesystem::path& file) {
  add("retrace", kBuiltIn);
  if (!file.empty()) add(file.string(), read_file(file));
}

void Recipes::add(const std::string& source, const std::string& text) {
  const Json json = [&] {
    try {
      return retrace::detail::parse_json(text, kMaxDepth);
    } catch (const FormatError& error) {
      reject(source, "it {}", error.what());
    }
  }();
  if (!json.is_object()) reject(source, "it is no JSON object");
  for (const auto& [name, values] : json.get_ref<const Json::object_t&>()) {
    if (!values.is_object()) reject(source, "'{}' is no JSON object", name);
    Recipe recipe;
    for (const auto& [key, value] : values.get_ref<const Json::object_t&>())
      recipe[key] = texts_of(source, key, value);
    if (!recipes_.contains(name)) names_.push_back(name);
    recipes_[name] = std::move(recipe);
  }
}

Recipe Recipes::find(const std::string& name) const {
  Recipe result;
  std::vector<std::string> line;
  for (std::string next = name;;) {
    const auto found = recipes_.find(next);
    if (found == recipes_.end())
      fail<ArgumentError>("recipe", "the name {}{}", name_complaint(next, names_),
                          line.empty() ? "" : fmt::format(", the base of '{}'", line.back()));
    const bool seen = std::find(line.begin(), line.end(), next) != line.end();
    line.push_back(next);
    if (seen)
      fail<ArgumentError>("recipe", "no recipe may inherit from itself, got {}", fmt::join(line, " from "));
    if (line.size() > kMaxAncestors)
      fail<ArgumentError>("recipe", "a recipe may have at most {} bases above it, and '{}' has more",
                          kMaxAncestors, name);
    inherit(result, found->second);
    const auto base = found->second.find(kBase);
    if (base == found->second.end()) break;
    next = fmt::format("{}", fmt::join(base->second, ","));
  }
  result.erase(kBase);
  return result;
}

void apply_recipe(CLI::App& app, const Recipe& recipe) {
  for (const auto& [key, values] : recipe) {
    CLI::Option* option = app.get_option_no_throw("--" + key);
    const bool excluded = std::find(kNotInRecipes.begin(), kNotInRecipes.end(), key) != kNotInRecipes.end();
    if (option == nullptr || excluded)
      fail<ArgumentError>("recipe", "a recipe must hold options of {}, got '{}'", app.get_name(), key);
    const std::set<CLI::Option*>& others = option->get_excludes();
    const auto given = [](const CLI::Option* o) { return o->count() > 0; };
    if (given(option) || std::any_of(others.begin(), others.end(), given)) continue;
    option->add_result(values);
    option->run_callback();
  }
}

int run_recipes(const RecipesOptions& options) {
  const Recipes recipes(options.file);
  Json::object_t json;
  std::string text;
  for (const std::string& name : recipes.names()) {
    const Recipe recipe = check_use([&] { return recipes.find(name); });
    Json::object_t values;
    text += printable(name) + ":";
    for (const auto& [key, list] : recipe) {
      const std::string value = fmt::format("{}", fmt::join(list, ","));
      values.emplace_back(key, value);
      text += printable(fmt::format(" --{}={}", key, value));
    }
    json.emplace_back(name, std::move(values));
    text += "\n";
  }
  fmt::print("{}", options.json ? Json(std::move(json)).dump() + "\n" : text);
  return kDone;
}

}  // namespace retrace::cli
