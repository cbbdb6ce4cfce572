#pragma once
// Internal: not installed.
#include <retrace/core/random.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace retrace::detail {

/// The random words of N neighbouring blocks of a stream, [word][block]: blocks `first` to `first + N - 1`.
/// The loops over blocks are written for vector instructions.
template <std::size_t N>
std::array<std::array<std::uint32_t, N>, 4> philox_blocks(const RandomStream& stream, std::uint64_t first) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9;
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85;
  constexpr int kRounds = 10;
  const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
  const auto high = [](std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); };

  std::array<std::array<std::uint32_t, N>, 4> c;
  for (std::size_t n = 0; n < N; ++n) {
    c[0][n] = low(first + n);
    c[1][n] = high(first + n);
    c[2][n] = low(stream.stream);
    c[3][n] = high(stream.stream);
  }
  std::uint32_t key0 = low(stream.seed);
  std::uint32_t key1 = high(stream.seed);
  for (int round = 0; round < kRounds; ++round) {
#pragma omp simd
    for (std::size_t n = 0; n < N; ++n) {
      const std::uint64_t p0 = kMultiplier0 * c[0][n];
      const std::uint64_t p1 = kMultiplier1 * c[2][n];
      c[0][n] = high(p1) ^ c[1][n] ^ key0;
      c[1][n] = low(p1);
      c[2][n] = high(p0) ^ c[3][n] ^ key1;
      c[3][n] = low(p0);
    }
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return c;
}

}  // namespace retrace::detail
