#pragma once
#include <retrace/nn/module.h>

#include <concepts>
#include <memory>
#include <string>
#include <vector>

namespace retrace {

/// Can be part of a Sequential: a module, or a shared pointer to one.
template <class M>
concept ModuleOrPointer = std::derived_from<M, Module> || std::convertible_to<M, std::shared_ptr<Module>>;

/// Modules one behind the other, named "0", "1", ... or as the user says; without any, y = x.
class Sequential final : public Module {
 public:
  Sequential() = default;
  /// `Sequential{Linear(2, 8), Tanh(), ...}`, with shared pointers in the place of modules that something
  /// else holds, too. In braces, because C++ makes the modules there in order; in parentheses their order,
  /// and so which of two layers draws its weights first, is the compiler's choice.
  template <ModuleOrPointer... Ms>
  explicit Sequential(Ms... modules) {
    (append(std::move(modules)), ...);
  }
  /// Under names of the user's. Throws what `append` throws.
  explicit Sequential(const std::vector<Named<std::shared_ptr<Module>>>& modules);

  /// Puts a module behind the others, named by its position or as given. Throws ArgumentError for an empty
  /// pointer, for a module that is or contains this one, and for a name that is empty, contains a '.', or is
  /// taken.
  Sequential& append(std::shared_ptr<Module> module);
  /// Appends a module under the given name.
  Sequential& append(std::string name, std::shared_ptr<Module> module);
  /// Appends a module that nothing else holds: `append(Linear(2, 8))`.
  template <std::derived_from<Module> M>
  Sequential& append(M module) {
    return append(shared(std::move(module)));
  }
  /// Appends a module under the given name.
  template <std::derived_from<Module> M>
  Sequential& append(std::string name, M module) {
    return append(std::move(name), shared(std::move(module)));
  }

  std::size_t size() const { return modules_.size(); }  ///< how many there are
  /// The module at a position. Throws ArgumentError out of range.
  const std::shared_ptr<Module>& operator[](std::size_t position) const;

  Var forward(const Var& x) override;
  Var forward_onto(Var& residual, Sign sign, const Var& x) override;
  void members(Members& m) override;

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<Sequential>(*this); }

  std::vector<Named<std::shared_ptr<Module>>> modules_;
};

}  // namespace retrace
