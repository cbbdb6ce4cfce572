#pragma once
#include <retrace/cli/step.h>

#include <cstdint>
#include <string>
#include <vector>

namespace retrace::cli {

/// What a training step was doing.
enum class Phase : std::uint8_t {
  forward,   ///< an op of the forward pass; one that records only itself counts what is inside of it, too
  replay,    ///< the same, run again on the way back
  backward,  ///< a derivative, with adding up its gradients and without the replays inside of it
  tape       ///< between derivatives
};

/// One op as it ran, or what lies between two of them.
struct ProfilePiece {
  Phase phase;
  std::string_view op;  ///< empty between ops
  const ScopeNode* scope;
  double seconds;
};

/// Where the time of one training step went: each moment up to the update belongs to one piece.
struct Profile {
  std::vector<ProfilePiece> pieces{};
  double update_seconds = 0;

  double seconds_of(Phase phase) const;
};

/// Of a step that was recorded; its result gives the time of the update.
Profile profile_of(const Recording& recording, const StepResult& step);

/// The share of the stored step's forward that `other` ran again: the time of the stored forward's ops of
/// which the replays of `other` contain one of the same name and scope, over the time of all.
double replayed_share(const Profile& stored, const Profile& other);

/// For people: milliseconds by op and phase, the most expensive op first, as a Markdown table.
std::string markdown_of(const Profile& profile);

}  // namespace retrace::cli
