#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace retrace {

/// How a run of blocks gets its activations for the way back.
enum class Policy : std::uint8_t {
  stored,           ///< keep them all
  checkpoint,       ///< keep each block's input, run the block again from it
  reversible,       ///< keep the last output, run the inverse; blocks that have none are checkpointed
  reversible_masks  ///< reversible, and keep the masks of ReLUs and the like: see WrapperOptions::keep_masks
};

/// Whether activations are rebuilt by inverses.
constexpr bool is_reversible(Policy policy) {
  return policy == Policy::reversible || policy == Policy::reversible_masks;
}

/// `stored`, `checkpoint`, `reversible` or `reversible-masks`.
std::string_view name_of(Policy policy);
/// Throws ArgumentError with the list of known ones.
Policy policy_from_name(std::string_view name);

}  // namespace retrace
