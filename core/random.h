#pragma once
#include <retrace/core/scope.h>

#include <array>
#include <cstdint>
#include <unordered_set>

namespace retrace {

/// The state of the random number generator between two steps.
struct GeneratorState {
  std::uint64_t seed = 0;  ///< what manual_seed was given
  std::uint64_t step = 0;  ///< the recorded forwards so far
};

/// Starts this thread's generator anew: the same seed and the same program draw the same numbers. What a tape
/// recorded before keeps its own; in a replay, only the replayed scope starts anew.
void manual_seed(std::uint64_t seed);
/// The state of this thread's generator, to be saved beside the weights.
GeneratorState generator_state();
/// Goes on from a state that was saved.
void set_generator_state(const GeneratorState& state);
/// Goes to the next step. The tape calls this at each outermost recorded forward.
void advance_generator();

/// One sequence of random numbers. Element i is a function of (seed, stream, i) alone: nothing is carried
/// from one element to the next, so any part can be drawn again at any time, on any thread or device.
struct RandomStream {
  std::uint64_t seed = 0;    ///< the program's seed
  std::uint64_t stream = 0;  ///< which sequence under that seed
};

/// The next stream of the current scope, keyed by seed, step, scope path and the count within that scope.
RandomStream next_stream();

/// The random streams that a forward drew. A replay of the forward draws the same ones, or it throws.
class DrawLog {
 public:
  /// While the result exists, this log notes each stream that this thread draws. The log must stay where it
  /// is.
  [[nodiscard]] detail::Guard record();
  /// While the result exists, drawing a stream that is not in this log throws GradientError.
  [[nodiscard]] detail::Guard verify();

 private:
  friend RandomStream next_stream();
  std::unordered_set<std::uint64_t> streams_;
};

/// Philox4x32-10: 128 random bits for (stream, block).
/// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
std::array<std::uint32_t, 4> philox(const RandomStream& stream, std::uint64_t block);

/// The uniform number in [0, 1) with 24 bits that element `index` of the stream has.
float uniform_at(const RandomStream& stream, std::uint64_t index);

/// Mixes two words into one, well enough to key a counter-based generator.
std::uint64_t mix(std::uint64_t a, std::uint64_t b);

}  // namespace retrace
