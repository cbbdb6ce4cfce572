#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace retrace::cli {

/// Values of options of `train`, by the option's name: `lr` -> `0.1`, `lr-steps` -> `40000`, `60000`.
using Recipe = std::map<std::string, std::vector<std::string>>;

/// Named recipes, of which one can be made from another: what stands under `base` holds, but for what the
/// recipe says itself.
class Recipes {
 public:
  /// The built-in ones, and those of a JSON file (none where the path is empty), which come before built-in
  /// ones of the same name:
  ///
  ///     {"mine": {"base": "revnet38", "steps": 500, "lr-steps": [300, 400]}}
  ///
  /// Throws IoError, and FormatError for another content.
  explicit Recipes(const std::filesystem::path& file);

  /// The built-in ones first.
  const std::vector<std::string>& names() const { return names_; }
  /// A recipe with all that it inherits. Throws ArgumentError for an unknown name, its own or a base's, and
  /// for recipes that inherit from themselves.
  Recipe find(const std::string& name) const;

 private:
  void add(const std::string& source, const std::string& text);

  std::vector<std::string> names_;
  std::map<std::string, Recipe> recipes_;
};

/// Gives the options that the command line left out the recipe's values. Throws ArgumentError for what is no
/// option of the command, and what the command line throws for the value.
void apply_recipe(CLI::App& app, const Recipe& recipe);

struct RecipesOptions {
  std::filesystem::path file{};
  bool json = false;
};

/// `retrace recipes`: prints every recipe with all that it inherits. Throws as Recipes does.
int run_recipes(const RecipesOptions& options);

}  // namespace retrace::cli
