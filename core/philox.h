#pragma once
// Internal: not installed.
#include <retrace/core/random.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace retrace::detail {

/// The words of one block: first its counter, after all rounds random ones.
struct PhiloxBlock {
  std::uint32_t word[4];
};

// Scalars: device code can't read an array of the host, and nvcc puts a trap there without a word.
inline constexpr std::uint32_t kPhiloxWeyl0 = 0x9E3779B9;
inline constexpr std::uint32_t kPhiloxWeyl1 = 0xBB67AE85;
inline constexpr int kPhiloxRounds = 10;

constexpr std::uint32_t low_word(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t high_word(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

/// One round, in place.
constexpr void philox_round(std::uint32_t& c0, std::uint32_t& c1, std::uint32_t& c2, std::uint32_t& c3,
                            std::uint32_t key0, std::uint32_t key1) {
  const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c0;
  const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c2;
  c0 = high_word(p1) ^ c1 ^ key0;
  c1 = low_word(p1);
  c2 = high_word(p0) ^ c3 ^ key1;
  c3 = low_word(p0);
}

/// The random words of one block of a stream. Kernels for GPUs draw with it, too.
constexpr PhiloxBlock philox_block(const RandomStream& stream, std::uint64_t block) {
  PhiloxBlock c{{low_word(block), high_word(block), low_word(stream.stream), high_word(stream.stream)}};
  std::uint32_t key0 = low_word(stream.seed);
  std::uint32_t key1 = high_word(stream.seed);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    philox_round(c.word[0], c.word[1], c.word[2], c.word[3], key0, key1);
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
  return c;
}

/// The random words of N neighbouring blocks of a stream, [word][block]: blocks `first` to `first + N - 1`.
/// The loops over blocks are written for vector instructions.
template <std::size_t N>
std::array<std::array<std::uint32_t, N>, 4> philox_blocks(const RandomStream& stream, std::uint64_t first) {
  std::array<std::array<std::uint32_t, N>, 4> c;
  for (std::size_t n = 0; n < N; ++n) {
    c[0][n] = low_word(first + n);
    c[1][n] = high_word(first + n);
    c[2][n] = low_word(stream.stream);
    c[3][n] = high_word(stream.stream);
  }
  std::uint32_t key0 = low_word(stream.seed);
  std::uint32_t key1 = high_word(stream.seed);
  for (int round = 0; round < kPhiloxRounds; ++round) {
#pragma omp simd
    for (std::size_t n = 0; n < N; ++n) philox_round(c[0][n], c[1][n], c[2][n], c[3][n], key0, key1);
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
  return c;
}

}  // namespace retrace::detail
