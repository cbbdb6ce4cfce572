#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/nn/weights.h>

#include <algorithm>
#include <map>
#include <set>

namespace retrace {

namespace {

constexpr std::size_t kMostNames = 10;

/// `a, b, c`, and how many more.
std::string list_of(const std::vector<std::string>& names) {
  const std::size_t shown = std::min(names.size(), kMostNames);
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

/// One tensor of a module and what is to be copied into it.
struct Assignment {
  Tensor to;
  Tensor from;
};

/// Pairs a module's tensors with those of `state`; throws unless the names are the same.
std::vector<Named<Assignment>> match_names(const std::vector<Named<Tensor>>& wanted,
                                           const std::vector<Named<Tensor>>& state, std::string_view op,
                                           std::string_view source) {
  std::map<std::string_view, const Tensor*> given;
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  for (const auto& [name, tensor] : state)
    if (!given.emplace(name, &tensor).second)
      fail<ArgumentError>(op, "{} must have each name once, got '{}' twice", source, name);

  std::vector<Named<Assignment>> matched;
  for (const auto& [name, tensor] : wanted) {
    const auto found = given.find(name);
    if (found == given.end()) {
      missing.push_back(name);
      continue;
    }
    matched.emplace_back(name, Assignment{.to = tensor, .from = *found->second});
    given.erase(found);
  }
  for (const auto& [name, tensor] : state)
    if (given.contains(name)) unexpected.push_back(name);

  if (!missing.empty() || !unexpected.empty())
    fail<ArgumentError>(op, "{} must have the names of the module's parameters and buffers, but{}{}{}{}{}",
                        source, missing.empty() ? "" : " it lacks ", list_of(missing),
                        missing.empty() || unexpected.empty() ? "" : " and",
                        unexpected.empty() ? "" : " it has unexpected ", list_of(unexpected));
  return matched;
}

void check_fit(const std::vector<Named<Assignment>>& assignments, std::string_view op,
               std::string_view source) {
  std::vector<std::string> misshapen;
  std::vector<std::string> mistyped;
  for (const auto& [name, assignment] : assignments) {
    const Tensor& to = assignment.to;
    const Tensor& from = assignment.from;
    if (!(from.shape() == to.shape()))
      misshapen.push_back(fmt::format("{} is {} for {}", name, from.shape(), to.shape()));
    const bool widens = from.dtype() == DType::f32 && to.dtype() == DType::f64;
    if (from.dtype() != to.dtype() && !widens)
      mistyped.push_back(fmt::format("{} is {} for {}", name, from.dtype(), to.dtype()));
  }
  if (!misshapen.empty())
    fail<ShapeError>(op, "{} must have the module's shapes, but {}", source, list_of(misshapen));
  if (!mistyped.empty())
    fail<DTypeError>(op, "{} must have the module's element types or f32 for f64, but {}", source,
                     list_of(mistyped));
}

/// Copies the sources that lie in a tensor to be written, which may be written before they are read.
void keep_sources(std::vector<Named<Assignment>>& assignments) {
  std::set<const Storage*> written;
  for (const auto& [name, assignment] : assignments) written.insert(&assignment.to.storage());
  for (auto& [name, assignment] : assignments)
    if (written.contains(&assignment.from.storage())) assignment.from = assignment.from.clone(Tag::workspace);
}

void assign(Assignment& assignment) {
  Tensor& to = assignment.to;
  Tensor value = assignment.from;
  if (value.dtype() != to.dtype()) value = value.to(to.dtype(), Tag::workspace);
  if (!(value.device() == to.device())) value = value.to(to.device(), Tag::workspace);
  kernel::copy(value, to);
}

void load(const std::vector<Named<Tensor>>& tensors, const std::vector<Named<Tensor>>& state,
          std::string_view op, std::string_view source) {
  std::vector<Named<Assignment>> assignments = match_names(tensors, state, op, source);
  check_fit(assignments, op, source);
  keep_sources(assignments);
  for (auto& [name, assignment] : assignments) assign(assignment);
}

}  // namespace

std::vector<Named<Tensor>> state_dict(Module& module) {
  std::vector<Named<Tensor>> state;
  for (const auto& [name, parameter] : module.named_parameters())
    state.emplace_back(name, parameter->value());
  for (const auto& [name, buffer] : module.named_buffers()) state.emplace_back(name, *buffer);
  return state;
}

void load_state_dict(Module& module, const std::vector<Named<Tensor>>& state) {
  load_state_dict(state_dict(module), state);
}

void load_state_dict(const std::vector<Named<Tensor>>& tensors, const std::vector<Named<Tensor>>& state) {
  load(tensors, state, "load_state_dict", "the state");
}

void save_weights(Module& module, const std::filesystem::path& path, const Metadata& metadata) {
  save_tensors(path, state_dict(module), metadata);
}

Metadata load_weights(Module& module, const std::filesystem::path& path) {
  TensorFile file = load_tensors(path);
  load(state_dict(module), file.tensors, "load_weights", path.string());
  return std::move(file.metadata);
}

}  // namespace retrace
