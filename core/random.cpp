#include <retrace/core/fail.h>
#include <retrace/core/philox.h>
#include <retrace/core/random.h>

namespace retrace {

namespace {

thread_local GeneratorState generator;

struct OpenLog {
  DrawLog* log;
  bool recording;
};
thread_local detail::GuardStack<OpenLog> open_logs;

}  // namespace

void manual_seed(std::uint64_t seed) { set_generator_state({.seed = seed, .step = 0}); }

GeneratorState generator_state() { return generator; }

void set_generator_state(const GeneratorState& state) {
  if (detail::restart_scopes(state.seed, state.step)) generator = state;
}

void advance_generator() {
  ++generator.step;
  detail::restart_root_scope();
}

RandomStream next_stream() {
  const ScopeState scope = current_scope();
  const RandomStream stream{.seed = scope.random.seed,
                            .stream = mix(mix(scope.random.step, scope.random.key), detail::next_draw())};
  const std::uint64_t mixed = mix(stream.seed, stream.stream);
  const bool unknown = open_logs.find([&](OpenLog& open) {
    if (open.recording) open.log->streams_.insert(mixed);
    return !open.recording && !open.log->streams_.contains(mixed);
  });
  if (unknown)
    fail<GradientError>(
        "random",
        "a replay must draw the random numbers of its forward, but '{}' draws others; call the "
        "same modules as the forward, each in the ModuleScope that the forward entered",
        path_of(scope.node));
  return stream;
}

detail::Guard DrawLog::record() { return open_logs.push({.log = this, .recording = true}); }

detail::Guard DrawLog::verify() { return open_logs.push({.log = this, .recording = false}); }

std::array<std::uint32_t, 4> philox(const RandomStream& stream, std::uint64_t block) {
  const auto [words] = detail::philox_block(stream, block);
  return {words[0], words[1], words[2], words[3]};
}

float uniform_at(const RandomStream& stream, std::uint64_t index) {
  const std::uint32_t bits = philox(stream, index / 4)[index % 4];
  return static_cast<float>(bits >> 8) * 0x1p-24F;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z =
      a * 0x9E3779B97F4A7C15 + b + 0x7F4A7C159E3779B9;  // splitmix64's finaliser on a combination
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

}  // namespace retrace
