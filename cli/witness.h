#pragma once
#include <retrace/autograd/tape.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retrace::cli {

/// What happened to a tape, and which bytes there were then. Bytes are the ledger's, of kStepTags: each
/// tensor's are rounded up to whole blocks.
struct Moment {
  enum class Kind : std::uint8_t {
    recorded,  ///< an operation was put on the tape
    released,  ///< what the operation keeps was given back to the allocator
    begun,     ///< a derivative began that recorded on tapes of its own
    replayed,  ///< the derivatives of such a tape have run
    restored,  ///< what was released is there again
    done       ///< a derivative has run; what it kept is about to be dropped
  };
  Kind kind = Kind::recorded;
  int depth = 0;         ///< 0 for the step's tape, more for tapes of replays
  std::size_t node = 0;  ///< number on its tape; for `replayed`, how many derivatives ran
  std::string_view op{};
  std::string where{};
  std::vector<std::string> tensors{};  ///< `f64[2,4,4,4]`: those that it is about
  std::int64_t bytes = 0;              ///< of `tensors`
  std::int64_t held = 0;               ///< by its tape, each storage once; for `done`, by what is left of it
  std::int64_t alive = 0;
  std::optional<double> error{};  ///< largest difference from what the tensors were
};

/// The largest |a - b|, of as many numbers as both have.
double largest_difference(const std::vector<double>& a, const std::vector<double>& b);

/// Sees one training step at work. It copies the numbers that the tape keeps, so that what is rebuilt can be
/// compared with what it was; the copies are not tensors, so the ledger does not count them.
class Witness final : public TapeObserver {
 public:
  /// With the witness of a stored step of the same network, what a replay keeps is compared with what that
  /// step kept at the same place.
  explicit Witness(const Witness* stored = nullptr) : stored_(stored) {}

  void on(const TapeEvent& event) override;

  const std::vector<Moment>& moments() const { return moments_; }
  /// How many of them belong to the forward pass.
  std::size_t forward_moments() const { return forward_moments_; }

 private:
  using Numbers = std::vector<std::vector<double>>;  // of each tensor that a node keeps
  struct Node {
    std::size_t first;
    Numbers numbers;
    std::vector<bool> released;
  };

  void on_step(const TapeEvent& event);
  void on_replay(const TapeEvent& event);
  void note_releases(const std::vector<SavedTensor>& saved);
  void note_restored(const std::vector<SavedTensor>& saved, const TapeEvent& event);
  const Numbers* kept_at(const std::string& place) const;
  Moment& add(Moment::Kind kind, const TapeEvent& event);

  const Witness* stored_;
  const Tape* tape_ = nullptr;
  std::vector<Node> nodes_;               // of the step's tape
  std::map<int, std::size_t> in_replay_;  // depth: tensors that its tape keeps so far
  std::map<std::string, Numbers> kept_;   // by place and operation
  std::vector<Moment> moments_;
  std::size_t forward_moments_ = 0;
};

}  // namespace retrace::cli
