#pragma once
// Internal: masks of one bit an element. Bit i % 8 of byte i / 8 belongs to element i.
#include <retrace/core/cpu/simd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace retrace::cpu {

static_assert(std::endian::native == std::endian::little, "masks are read and written as words");

/// Eight bytes of 0 or 1 as eight bits, the first one lowest: byte k times 2^(56 - 7k) lands on bit 56 + k.
inline std::uint8_t pack(const std::uint8_t* flags) {
  std::uint64_t word;
  std::memcpy(&word, flags, sizeof(word));
  return static_cast<std::uint8_t>(word * 0x0102040810204080 >> 56);
}

/// The fewest elements that are whole vectors and whole bytes of a mask.
template <class T>
inline constexpr int kMaskStep = std::max(8, kLanes<T>);

namespace detail {
template <class T>
using Truth = decltype(Vec<T>{} > Vec<T>{});  // all bits of a lane set or none

template <class T, std::size_t... k>
[[gnu::always_inline]] inline Truth<T> lane_bits(std::index_sequence<k...>) {
  return Truth<T>{(1 << k)...};
}
}  // namespace detail

/// v where the mask's bit is set, else 0. `bits` is the mask of element 0, and v is of elements i, i + 1, ...
/// with i a multiple of the lanes.
template <class T>
[[gnu::always_inline]] inline Vec<T> pass(const std::uint8_t* bits, std::int64_t i, const Vec<T>& v) {
  std::uint32_t word = 0;
  std::memcpy(&word, bits + i / 8, kMaskStep<T> / 8);
  if constexpr (kLanes<T> < 8) word >>= i % 8;
  using Lane = std::remove_reference_t<decltype(detail::Truth<T>{}[0])>;
  const detail::Truth<T> lanes = (static_cast<Lane>(word) - detail::Truth<T>{}) &
                                 detail::lane_bits<T>(std::make_index_sequence<kLanes<T>>{});
  return lanes != detail::Truth<T>{} ? v : Vec<T>{};
}
/// The same for the single element i.
template <class T>
T pass(const std::uint8_t* bits, std::int64_t i, T value) {
  return (bits[i / 8] >> (i % 8) & 1) != 0 ? value : T{0};
}

/// Writes the bits !(v <= 0) of one mask step, which is the vectors v, at `bits`: ReLU's, which a NaN passes.
template <class T>
[[gnu::always_inline]] inline void write_passing(const Vec<T> (&v)[kMaskStep<T> / kLanes<T>],
                                                 std::uint8_t* bits) {
#if defined(__AVX512F__)
  // The compilers make a mask register of no vector expression.
  if constexpr (std::is_same_v<T, float>) {
    const __mmask16 passing = _mm512_cmp_ps_mask(v[0], _mm512_setzero_ps(), _CMP_NLE_UQ);
    std::memcpy(bits, &passing, sizeof passing);
  } else {
    *bits = _mm512_cmp_pd_mask(v[0], _mm512_setzero_pd(), _CMP_NLE_UQ);
  }
#else
  typedef std::int8_t Bytes __attribute__((vector_size(kLanes<T>)));
  std::uint8_t flags[kMaskStep<T>];
#pragma GCC unroll 4
  for (int k = 0; k < kMaskStep<T>; k += kLanes<T>) {
    const Bytes bytes = __builtin_convertvector(v[k / kLanes<T>] <= Vec<T>{}, Bytes) + 1;
    std::memcpy(flags + k, &bytes, sizeof bytes);
  }
  for (int k = 0; k < kMaskStep<T>; k += 8) bits[k / 8] = pack(flags + k);
#endif
}

}  // namespace retrace::cpu
