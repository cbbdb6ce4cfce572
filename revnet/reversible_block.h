#pragma once
#include <retrace/revnet/coupling.h>
#include <retrace/revnet/wrapper.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace retrace {

/// The coupling of that name: `additive` (which has no use for an adapter) or `affine`. Throws
/// NotImplementedError for another name.
std::shared_ptr<Coupling> create_coupling(std::shared_ptr<Module> Fm, std::shared_ptr<Module> Gm = nullptr,
                                          std::string_view coupling = "additive",
                                          const AffineAdapter& adapter = nullptr,
                                          const CouplingOptions& options = {});

/// What `ReversibleBlock` makes.
struct ReversibleBlockOptions {
  std::string coupling = "additive";  ///< or `affine`
  bool keep_input = false;            ///< see WrapperOptions
  bool keep_input_inverse = false;    ///< see WrapperOptions
  int implementation_fwd = -1;        ///< see CouplingOptions
  int implementation_bwd = -1;        ///< see CouplingOptions
  AffineAdapter adapter = nullptr;    ///< for `affine`
};

/// A coupling by name inside a wrapper, as MemCNN had them before there was a wrapper.
class [[deprecated("use InvertibleModuleWrapper around a coupling")]] ReversibleBlock final
    : public InvertibleModuleWrapper {
 public:
  /// Throws NotImplementedError for an unknown coupling or implementation.
  explicit ReversibleBlock(std::shared_ptr<Module> Fm, std::shared_ptr<Module> Gm = nullptr,
                           const ReversibleBlockOptions& options = {});

  /// What MemCNN advises against in the options as they are now: implementation -1 without kept inputs.
  std::vector<std::string> warnings() const;

 private:
  std::shared_ptr<Module> copy() const override;

  int implementation_fwd_;
  int implementation_bwd_;
};

}  // namespace retrace
