#include <retrace/autograd/ops.h>
#include <retrace/autograd/record.h>
#include <retrace/report/recorder.h>
#include <retrace/revnet/wrapper.h>

#include <algorithm>

#include "../revnet/modules.h"
#include "../support/catch.h"

using namespace retrace;
using test::Layer;

namespace {

using Strings = std::vector<std::string>;
using Kind = Recording::Span::Kind;

Tensor kilobytes() { return Tensor::full({128}, 0.5, DType::f64); }

/// sum(tanh(tanh(x))), watched, and the figures of a counter beside it.
struct Watched {
  std::int64_t after_forward = 0;
  std::int64_t peak = 0;
  Recording recording{};
};

Watched two_tanh() {
  Watched watched;
  MemoryRecorder recorder;
  const Counter counter(kStepTags);
  Tape tape;
  tape.observe(&recorder);
  Var y = tape.watch(kilobytes());
  {
    const Scope scope("net");
    y = tanh(tanh(y));
  }
  recorder.begin_phase("loss");
  const Var loss = sum(y);
  watched.after_forward = counter.live();
  tape.backward(loss);
  watched.peak = counter.peak();
  watched.recording = recorder.recording("two");
  return watched;
}

/// A node whose derivative fails.
class Broken final : public TapeHook {
 public:
  std::string_view name() const override { return "broken"; }
  Tensors backward(Tensors, const BackwardPass&) override { throw GradientError("[broken] on purpose"); }
};

/// Spans lie inside of each other or apart, in the order of their begin.
void check_nested(const Recording& recording) {
  std::vector<const Recording::Span*> open;
  for (const Recording::Span& span : recording.spans) {
    CHECK(span.begin.events <= span.end.events);
    CHECK(span.begin.seconds <= span.end.seconds);
    while (!open.empty() && open.back()->end.seconds <= span.begin.seconds) open.pop_back();
    if (!open.empty()) {
      CHECK(open.back()->begin.seconds <= span.begin.seconds);
      CHECK(span.end.seconds <= open.back()->end.seconds);
      CHECK(span.end.events <= open.back()->end.events);
    }
    open.push_back(&span);
  }
}

std::int64_t sum_of(const std::vector<AliveAtPeak>& rows) {
  std::int64_t bytes = 0;
  for (const AliveAtPeak& row : rows) bytes += row.record.bytes;
  return bytes;
}

}  // namespace

TEST_CASE("a recording has the figures of the ledger", "[recorder]") {
  const Watched watched = two_tanh();
  const MemoryFigures figures = figures_of(watched.recording);
  CHECK(figures.after_forward_bytes == watched.after_forward);
  CHECK(figures.peak_bytes == watched.peak);
  CHECK(sum_of(alive_at_peak(watched.recording)) == watched.peak);
  CHECK(watched.recording.name == "two");
}

TEST_CASE("a recording has its phases and what ran in them", "[recorder]") {
  const Recording recording = two_tanh().recording;
  Strings phases;
  for (const Recording::Phase& phase : recording.phases) phases.push_back(phase.name);
  CHECK(phases == Strings{"forward", "loss", "backward", "update"});
  Strings spans;
  for (const Recording::Span& span : recording.spans)
    spans.push_back(name_of(recording.nodes[span.node]) + (span.kind == Kind::derivative ? "'" : ""));
  CHECK(spans == Strings{"tanh of net", "tanh of net", "sum", "sum'", "tanh of net'", "tanh of net'"});
  check_nested(recording);
}

TEST_CASE("each byte at the peak has its reason", "[recorder]") {
  const Recording recording = two_tanh().recording;
  Strings rows;
  for (const AliveAtPeak& row : alive_at_peak(recording))
    rows.push_back(std::to_string(row.record.bytes) + " " + std::string(name_of(row.record.tag)) + " " +
                   to_string(row.record.shape) + " " + why_of(recording, row));
  CHECK(rows ==
        Strings{"1024 activation [128] tanh of net saved it for the way back",
                "1024 activation [128] tanh of net saved it for the way back",
                "1024 gradient [128] a gradient on its way back, made by the derivative of sum",
                "1024 gradient [128] a gradient on its way back, made by the derivative of tanh of net",
                "64 activation [] made while sum ran; no node saved it: what reads it next holds it",
                "64 gradient [] made outside of every node: the program or backward itself holds it"});
}

TEST_CASE("what an operation is about to save, and its scratch space, are no riddle", "[recorder]") {
  MemoryRecorder recorder;
  {
    Tape tape;
    tape.observe(&recorder);
    const Var x = tape.watch(kilobytes());
    const Tensor y(Shape{128}, DType::f64, Tag::activation);
    const Tensor mask(Shape{128}, DType::u8, Tag::saved);
    { const Tensor scratch(Shape{64}, DType::f64, Tag::workspace); }
    record("made_up", {x}, y, /*save=*/{mask},
           [](const Tensor& dy, Saved, const Wants&) -> Tensors { return {dy}; });
  }
  const Recording recording = recorder.recording("");
  Strings rows;
  for (const AliveAtPeak& row : alive_at_peak(recording)) rows.push_back(why_of(recording, row));
  CHECK(rows == Strings{"made while made_up ran; no node saved it: what reads it next holds it",
                        "scratch space of made_up, while it runs",
                        "made for made_up, which is about to save it"});
}

TEST_CASE("what two nodes saved has both names", "[recorder]") {
  MemoryRecorder recorder;
  {
    Tape tape;
    tape.observe(&recorder);
    const Var y = tanh(tape.watch(kilobytes()));
    const Var z = y * y;
  }
  const Recording recording = recorder.recording("");
  const std::vector<AliveAtPeak> rows = alive_at_peak(recording);
  REQUIRE(rows.size() == 2);
  CHECK(why_of(recording, rows[0]) == "tanh and mul saved it for the way back");
}

TEST_CASE("what a wrapper released and restored is again that of the node that saved it", "[recorder]") {
  MemoryRecorder recorder;
  Tape tape;
  tape.observe(&recorder);
  const auto coupling = std::make_shared<AdditiveCoupling>(std::make_shared<Layer>(32, 32));
  InvertibleModuleWrapper wrapped(coupling);
  const Var x = tanh(tape.watch(Tensor::full({4, 64}, 0.5, DType::f64)));
  const Var loss = sum(wrapped(x));
  const std::uint64_t released = recorder.recording("").nodes.front().saved.front();
  CHECK(x.value().storage().released());
  tape.backward(loss);
  const Recording recording = recorder.recording("");
  const Recording::Node& first = recording.nodes.front();
  CHECK(first.op == "tanh");
  CHECK(first.saved == std::vector<std::uint64_t>{released, x.value().storage().serial()});
  check_nested(recording);
  const auto is_replay = [](const Recording::Span& span) { return span.kind == Kind::replay; };
  CHECK(std::any_of(recording.spans.begin(), recording.spans.end(), is_replay));
  CHECK(std::any_of(recording.nodes.begin(), recording.nodes.end(),
                    [](const Recording::Node& node) { return node.depth == 1; }));
}

TEST_CASE("a recorder may come late, and outlive a backward that fails", "[recorder]") {
  Tape tape;
  const Var x = tape.watch(kilobytes());
  const Var y = tanh(x);
  MemoryRecorder recorder;
  tape.observe(&recorder);
  const Var z = tape.attach({y}, {y.value()}, std::make_unique<Broken>()).front();
  CHECK_THROWS_AS(tape.backward(z, kilobytes()), GradientError);
  const Recording recording = recorder.recording("");
  REQUIRE(recording.spans.size() == 2);
  CHECK(recording.spans[1].end.seconds == recording.end.seconds);

  MemoryRecorder late;
  Tape other;
  const Var u = tanh(other.watch(kilobytes()));
  other.observe(&late);
  other.backward(sum(u));
  const Recording rest = late.recording("");
  REQUIRE(rest.nodes.size() == 2);
  CHECK(rest.nodes[1].op == "tanh");
  CHECK(rest.nodes[1].recorded == 0);
  CHECK(rest.nodes[1].saved.size() == 1);
}

TEST_CASE("a step takes the same bytes whether it is watched or not", "[recorder]") {
  const auto peak_of = [](TapeObserver* observer) {
    const Counter counter;
    const std::int64_t before = counter.live();
    Tape tape;
    tape.observe(observer);
    tape.backward(sum(tanh(tanh(tape.watch(kilobytes())))));
    return counter.peak() - before;
  };
  MemoryRecorder recorder;
  CHECK(peak_of(&recorder) == peak_of(nullptr));
}
