#include <retrace/core/fail.h>
#include <retrace/revnet/reversible_block.h>

#include <utility>

// This file is the deprecated class.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace retrace {

std::shared_ptr<Coupling> create_coupling(std::shared_ptr<Module> Fm, std::shared_ptr<Module> Gm,
                                          std::string_view coupling, const AffineAdapter& adapter,
                                          const CouplingOptions& options) {
  if (coupling == "additive")
    return std::make_shared<AdditiveCoupling>(std::move(Fm), std::move(Gm), options);
  if (coupling == "affine")
    return std::make_shared<AffineCoupling>(std::move(Fm), std::move(Gm), adapter, options);
  fail<NotImplementedError>("create_coupling", "coupling must be additive or affine, got {}", coupling);
}

ReversibleBlock::ReversibleBlock(std::shared_ptr<Module> Fm, std::shared_ptr<Module> Gm,
                                 const ReversibleBlockOptions& options)
    : InvertibleModuleWrapper(
          create_coupling(std::move(Fm), std::move(Gm), options.coupling, options.adapter,
                          {.implementation_fwd = options.implementation_fwd,
                           .implementation_bwd = options.implementation_bwd}),
          {.keep_input = options.keep_input, .keep_input_inverse = options.keep_input_inverse}),
      implementation_fwd_(options.implementation_fwd),
      implementation_bwd_(options.implementation_bwd) {}

std::vector<std::string> ReversibleBlock::warnings() const {
  std::vector<std::string> found;
  const auto advise = [&](std::string_view implementation, int number, std::string_view keep, bool kept) {
    if (number == -1 && !kept)
      found.push_back(fmt::format("{} = -1 should go with {} = true, got false", implementation, keep));
  };
  advise("implementation_fwd", implementation_fwd_, "keep_input", options().keep_input);
  advise("implementation_bwd", implementation_bwd_, "keep_input_inverse", options().keep_input_inverse);
  return found;
}

std::shared_ptr<Module> ReversibleBlock::copy() const { return std::make_shared<ReversibleBlock>(*this); }

}  // namespace retrace
