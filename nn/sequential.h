#pragma once
#include <retrace/nn/module.h>

#include <concepts>
#include <memory>
#include <string>
#include <vector>

namespace retrace {

/// Modules one behind the other, named "0", "1", ... or as the user says; without any, y = x.
class Sequential final : public Module {
 public:
  Sequential() = default;
  /// `Sequential(std::make_shared<Linear>(2, 8), std::make_shared<Tanh>(), ...)`.
  template <std::derived_from<Module>... Ms>
  explicit Sequential(std::shared_ptr<Ms>... modules) {
    (append(std::move(modules)), ...);
  }
  /// Under names of the user's. Throws what `append` throws.
  explicit Sequential(const std::vector<Named<std::shared_ptr<Module>>>& modules);

  /// Puts a module behind the others, named by its position or as given. Throws ArgumentError for an empty
  /// pointer, for a module that is or contains this one, and for a name that is empty, contains a '.', or is
  /// taken.
  Sequential& append(std::shared_ptr<Module> module);
  /// The same under a name as given.
  Sequential& append(std::string name, std::shared_ptr<Module> module);

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
