#pragma once
#include <retrace/core/memory.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace retrace {

/// What happened to the memory of one device while a MemoryRecorder was there: every allocation and its end,
/// what ran when, and which node of a tape saved what. All else in report/ is made from it.
struct Recording {
  using Moment = Counter::Moment;  ///< a time, and how many events had happened

  /// A node of a tape.
  struct Node {
    std::string_view op{};               ///< the hook's name
    const ScopeNode* scope = nullptr;    ///< where in the network
    int depth = 0;                       ///< 0: of the outermost tape; more: of a replay's
    std::size_t recorded = 0;            ///< how many events came before it was put on the tape
    std::size_t done = kNever;           ///< the same of the end of its (last) derivative
    std::vector<std::uint64_t> saved{};  ///< serials of what it keeps or gets back
  };
  static constexpr std::size_t kNever = static_cast<std::size_t>(-1);  ///< of what has not happened

  /// The time that a node takes. Spans lie inside of each other or apart; they are ordered by their begin,
  /// an outer one before those inside of it.
  struct Span {
    /// What the node does in that time.
    enum class Kind : std::uint8_t {
      forward,    ///< the operation: since whatever the tape did before it
      replay,     ///< the same, run again on the way back
      derivative  ///< its way back
    };
    std::size_t node = 0;       ///< its number in `nodes`
    Kind kind = Kind::forward;  ///< what it does
    Moment begin{};             ///< of the time
    Moment end{};               ///< of the time
  };

  /// A part of the step, until the next one begins.
  struct Phase {
    std::string name{};  ///< `forward`, `loss`, `backward`, `update`
    Moment begin{};      ///< of it; it ends where the next one begins
  };

  std::string name{};                    ///< what was watched
  std::vector<Counter::Event> events{};  ///< of all tags; what was alive at the start comes first
  std::vector<Node> nodes{};             ///< in the order of recording
  std::vector<Span> spans{};             ///< in the order of their begins
  std::vector<Phase> phases{};           ///< in their order
  Moment end{};                          ///< when the recording was asked for
};

/// `conv2d of stage1.0.F.conv1`.
std::string name_of(const Recording::Node& node);

/// The innermost span in which an event happened, or null.
const Recording::Span* span_of(const Recording& recording, std::size_t event);

/// The figures of a recording. Bytes are those of kStepTags.
struct MemoryFigures {
  std::int64_t after_forward_bytes = 0;  ///< when backward begins; without one, at the end
  std::int64_t peak_bytes = 0;           ///< the most that was alive at once
  std::size_t peak_events = 0;           ///< how many events had happened when the peak was reached first
};
/// The figures, counted from the events.
MemoryFigures figures_of(const Recording& recording);

/// Why something is alive.
enum class Why : std::uint8_t {
  saved,      ///< nodes on the tape keep it for their derivatives
  will_save,  ///< it was made for a node that is not on the tape yet
  workspace,  ///< scratch space
  made,       ///< an operation's result that no node saved: who reads it next holds it
  derived,    ///< a gradient that a derivative made
  program     ///< made outside of every node: the program, or backward's first dy
};

/// One allocation that was alive at a peak, and why.
struct AliveAtPeak {
  AllocationRecord record{};         ///< what it is
  std::size_t event = 0;             ///< where in `events` its life begins
  Why why = Why::program;            ///< why it is alive
  std::vector<std::size_t> nodes{};  ///< which ones saved it, will save it or made it
};

/// What was alive of kStepTags at the first peak, largest first. The bytes add up to the peak.
std::vector<AliveAtPeak> alive_at_peak(const Recording& recording);

/// A sentence, with `{}` where the names of the nodes belong.
std::string_view sentence_of(Why why);
/// The sentence with the names in it.
std::string why_of(const Recording& recording, const AliveAtPeak& alive);

}  // namespace retrace
