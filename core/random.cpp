#include <retrace/core/random.h>

namespace retrace {

namespace {

thread_local GeneratorState generator;

constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9;
constexpr std::uint32_t kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;

constexpr std::uint32_t low(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
constexpr std::uint32_t high(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }

}  // namespace

void manual_seed(std::uint64_t seed) { set_generator_state({.seed = seed, .step = 0}); }

GeneratorState generator_state() { return generator; }

void set_generator_state(const GeneratorState& state) {
  generator = state;
  detail::restart_root_scope();
}

void advance_generator() {
  ++generator.step;
  detail::restart_root_scope();
}

RandomStream next_stream() {
  const RandomState scope = current_scope().random;
  return {.seed = generator.seed, .stream = mix(mix(scope.step, scope.key), detail::next_draw())};
}

std::array<std::uint32_t, 4> philox(const RandomStream& stream, std::uint64_t block) {
  std::array<std::uint32_t, 4> c = {low(block), high(block), low(stream.stream), high(stream.stream)};
  std::uint32_t key0 = low(stream.seed);
  std::uint32_t key1 = high(stream.seed);
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t p0 = kMultiplier0 * c[0];
    const std::uint64_t p1 = kMultiplier1 * c[2];
    c = {high(p1) ^ c[1] ^ key0, low(p1), high(p0) ^ c[3] ^ key1, low(p0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return c;
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
