#include <retrace/cli/profile.h>
#include <retrace/core/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

namespace retrace::cli {

double Profile::seconds_of(Phase phase) const {
  double seconds = 0;
  for (const ProfilePiece& piece : pieces)
    if (piece.phase == phase) seconds += piece.seconds;
  return seconds;
}

Profile profile_of(const Recording& recording, const StepResult& step) {
  using Kind = Recording::Span::Kind;
  struct Edge {
    double seconds;
    Phase phase;  // of what ends here
    const Recording::Node* node;
  };
  std::vector<Edge> edges;
  for (const Recording::Span& span : recording.spans) {
    const Recording::Node* node = &recording.nodes[span.node];
    if (span.kind == Kind::derivative) {
      edges.push_back({span.begin.seconds, Phase::tape, node});
      edges.push_back({span.end.seconds, Phase::backward, node});
    } else {
      edges.push_back({span.end.seconds, span.kind == Kind::replay ? Phase::replay : Phase::forward, node});
    }
  }
  std::stable_sort(edges.begin(), edges.end(),
                   [](const Edge& a, const Edge& b) { return a.seconds < b.seconds; });
  Profile profile{.pieces = {}, .update_seconds = step.update_seconds};
  double last = 0;
  for (const Edge& edge : edges)
    profile.pieces.push_back({.phase = edge.phase,
                              .op = edge.phase == Phase::tape ? std::string_view() : edge.node->op,
                              .scope = edge.node->scope,
                              .seconds = edge.seconds - std::exchange(last, edge.seconds)});
  return profile;
}

double replayed_share(const Profile& stored, const Profile& other) {
  std::set<std::pair<std::string_view, const ScopeNode*>> replayed;
  for (const ProfilePiece& piece : other.pieces)
    if (piece.phase == Phase::replay) replayed.insert({piece.op, piece.scope});
  double seconds = 0;
  for (const ProfilePiece& piece : stored.pieces)
    if (piece.phase == Phase::forward && replayed.count({piece.op, piece.scope}) > 0)
      seconds += piece.seconds;
  return seconds / stored.seconds_of(Phase::forward);
}

std::string markdown_of(const Profile& profile) {
  using Row = std::array<double, 3>;  // forward, replay, backward
  const auto sum = [](const Row& row) { return row[0] + row[1] + row[2]; };
  std::map<std::string_view, Row> by_op;
  Row all{};
  for (const ProfilePiece& piece : profile.pieces) {
    if (piece.phase == Phase::tape) continue;
    by_op[piece.op][static_cast<std::size_t>(piece.phase)] += piece.seconds;
    all[static_cast<std::size_t>(piece.phase)] += piece.seconds;
  }
  std::vector<std::pair<std::string_view, Row>> rows(by_op.begin(), by_op.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [&](const auto& a, const auto& b) { return sum(a.second) > sum(b.second); });
  const double tape = profile.seconds_of(Phase::tape);
  const double total = sum(all) + tape + profile.update_seconds;
  std::string text =
      "| op | forward, ms | replay, ms | backward, ms | together, ms | share |\n|---|--:|--:|--:|--:|--:|\n";
  const auto line = [&](std::string_view name, const Row& row, double seconds) {
    text += fmt::format("| {} | {:.1f} | {:.1f} | {:.1f} | {:.1f} | {:.1f} % |\n", name, 1e3 * row[0],
                        1e3 * row[1], 1e3 * row[2], 1e3 * seconds, 100 * seconds / total);
  };
  for (const auto& row : rows) line(row.first, row.second, sum(row.second));
  line("between the derivatives", {}, tape);
  line("the optimizer's step", {}, profile.update_seconds);
  line("all", all, total);
  return text;
}

}  // namespace retrace::cli
