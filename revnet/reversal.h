#pragma once
// Internal: not installed.
#include <retrace/revnet/invertible.h>

#include <cstdint>
#include <memory>
#include <string_view>

namespace retrace {

/// What becomes of the inputs of a module whose activations come back from its outputs.
enum class Inputs : std::uint8_t {
  released,  ///< where they may be, and restored in backward
  kept,      ///< held by the hook, which runs forward again from them
  left       ///< not looked at: what is rebuilt is used in backward and forgotten
};

struct ReversalOptions {
  std::string_view name = "reversal";  ///< of the hook, in errors: a string literal
  Inputs inputs = Inputs::released;
  int num_bwd_passes = 1;          ///< how often backward may run through this forward
  bool preserve_rng_state = true;  ///< replays draw the forward's random numbers
  bool keep_masks = false;         ///< replays decide as forward did, unless inputs are kept
};

/// Runs fn without a tape and puts one hook on the current tape, which owns the outputs and rewinds fn from
/// them. Without a tape it is fn's forward. Under Autocast bf16 and f16 inputs are cast to f32.
Vars run_reversibly(const std::shared_ptr<InvertibleModule>& fn, const Vars& x,
                    const ReversalOptions& options);

/// Throws GradientError unless a rewind brought back one gradient for each input.
void check_rewound(std::string_view op, const Rewound& back);

}  // namespace retrace
