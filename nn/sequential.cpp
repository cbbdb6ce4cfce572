#include <retrace/core/fail.h>
#include <retrace/nn/sequential.h>

#include <algorithm>

namespace retrace {

Sequential::Sequential(const std::vector<Named<std::shared_ptr<Module>>>& modules) {
  for (const auto& [name, module] : modules) append(name, module);
}

Sequential& Sequential::append(std::shared_ptr<Module> module) {
  return append(std::to_string(size()), std::move(module));
}

Sequential& Sequential::append(std::string name, std::shared_ptr<Module> module) {
  if (module == nullptr)
    fail<ArgumentError>("sequential", "the module '{}' must be one, got an empty pointer", name);
  for (const auto& [path, inner] : module->named_modules())
    if (inner == this)
      fail<ArgumentError>("sequential", "a module must not contain itself, but '{}' contains this one", name);
  if (name.empty() || name.find('.') != std::string::npos)
    fail<ArgumentError>("sequential", "a name must not be empty or contain a '.', got '{}'", name);
  if (std::ranges::find(modules_, name, &Named<std::shared_ptr<Module>>::first) != modules_.end())
    fail<ArgumentError>("sequential", "each name must occur once, got '{}' twice", name);
  modules_.emplace_back(std::move(name), std::move(module));
  return *this;
}

const std::shared_ptr<Module>& Sequential::operator[](std::size_t position) const {
  if (position >= size())
    fail<ArgumentError>("sequential", "a position must be below {}, got {}", size(), position);
  return modules_[position].second;
}

Var Sequential::forward(const Var& x) {
  Var none;
  return forward_onto(none, Sign::plus, x);
}

Var Sequential::forward_onto(Var& residual, Sign sign, const Var& x) {
  if (modules_.empty()) return x;
  Var y = x;
  for (std::size_t i = 0; i < size(); ++i) {
    const auto& [name, module] = modules_[i];
    const ModuleScope scope(*module, name);
    y = i + 1 < size() ? module->forward(y) : module->forward_onto(residual, sign, y);
  }
  return y;
}

void Sequential::members(Members& m) {
  for (auto& [name, module] : modules_) m.module(name, module);
}

}  // namespace retrace
