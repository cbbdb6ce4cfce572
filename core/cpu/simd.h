#pragma once
// Internal: one vector type for every instruction set. The compilers' vector extension makes it a zmm, ymm or
// xmm register; arithmetic operators work lane by lane, also with a scalar on one side.
#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace retrace::cpu {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

/// Lanes of a vector of T.
template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

namespace detail {
template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
}  // namespace detail

template <class T>
using Vec = typename detail::VectorOf<T>::type;

/// kLanes<T> consecutive elements at any address.
template <class T>
[[gnu::always_inline]] inline Vec<T> load(const T* from) {
  Vec<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class T>
[[gnu::always_inline]] inline void store(T* to, const Vec<T>& v) {
  std::memcpy(to, &v, sizeof v);
}

/// Writes the first `lanes` lanes.
template <class T>
[[gnu::always_inline]] inline void store_some(T* to, const Vec<T>& v, std::int64_t lanes) {
  if (lanes == kLanes<T>)
    store<T>(to, v);
  else
    std::memcpy(to, &v, static_cast<std::size_t>(lanes) * sizeof(T));
}

/// Writes past the caches, to a multiple of kVectorBytes. `end_stream` before another thread reads it.
template <class T>
[[gnu::always_inline]] inline void stream(T* to, const Vec<T>& v) {
#if defined(__AVX512F__)
  __m512i bits;
  std::memcpy(&bits, &v, sizeof bits);
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), bits);
#elif defined(__AVX__)
  __m256i bits;
  std::memcpy(&bits, &v, sizeof bits);
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), bits);
#elif defined(__SSE2__)
  __m128i bits;
  std::memcpy(&bits, &v, sizeof bits);
  _mm_stream_si128(reinterpret_cast<__m128i*>(to), bits);
#else
  store<T>(to, v);
#endif
}
template <class T>
[[gnu::always_inline]] inline void write(T* to, const Vec<T>& v, bool past_caches) {
  if (past_caches)
    stream<T>(to, v);
  else
    store<T>(to, v);
}
inline void end_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

template <class T>
[[gnu::always_inline]] inline Vec<T> splat(T value) {
  return value - Vec<T>{};
}

/// The sum of the lanes, added pairwise.
template <class T>
[[gnu::always_inline]] inline T sum_lanes(const Vec<T>& v) {
  T lanes[kLanes<T>];
  std::memcpy(lanes, &v, sizeof v);
#pragma GCC unroll 4
  for (int width = kLanes<T> / 2; width > 0; width /= 2)
#pragma GCC unroll 8
    for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
  return lanes[0];
}

namespace detail {
template <class T, int kFirst, std::size_t... k>
[[gnu::always_inline]] inline Vec<T> zip(const Vec<T>& a, const Vec<T>& b, std::index_sequence<k...>) {
  return __builtin_shufflevector(a, b,
                                 (kFirst + static_cast<int>(k) / 2 + static_cast<int>(k) % 2 * kLanes<T>)...);
}

/// Every kStep-th lane of a and b, one behind the other.
template <class T, int kFirst, int kStep, std::size_t... k>
[[gnu::always_inline]] inline Vec<T> pick(const Vec<T>& a, const Vec<T>& b, std::index_sequence<k...>) {
  return __builtin_shufflevector(a, b, (kFirst + kStep * static_cast<int>(k))...);
}

template <class T>
inline constexpr std::make_index_sequence<kLanes<T>> kAllLanes{};
}  // namespace detail

/// a[0], b[0], a[1], b[1], ...: of the lower and of the upper half of the lanes.
template <class T>
[[gnu::always_inline]] inline Vec<T> zip_low(const Vec<T>& a, const Vec<T>& b) {
  return detail::zip<T, 0>(a, b, detail::kAllLanes<T>);
}
template <class T>
[[gnu::always_inline]] inline Vec<T> zip_high(const Vec<T>& a, const Vec<T>& b) {
  return detail::zip<T, kLanes<T> / 2>(a, b, detail::kAllLanes<T>);
}

/// Lanes 0, 2, 4, ... of a, then of b; and lanes 1, 3, 5, ...
template <class T>
[[gnu::always_inline]] inline Vec<T> even_lanes(const Vec<T>& a, const Vec<T>& b) {
  return detail::pick<T, 0, 2>(a, b, detail::kAllLanes<T>);
}
template <class T>
[[gnu::always_inline]] inline Vec<T> odd_lanes(const Vec<T>& a, const Vec<T>& b) {
  return detail::pick<T, 1, 2>(a, b, detail::kAllLanes<T>);
}

namespace detail {
/// Lanes `first`, `first` + 1 of a and of b in turns, or pairs of lanes, in each four.
template <class T, int kFirst, std::size_t... k>
[[gnu::always_inline]] inline Vec<T> zip_fours(const Vec<T>& a, const Vec<T>& b, std::index_sequence<k...>) {
  return __builtin_shufflevector(a, b,
                                 (static_cast<int>(k) / 4 * 4 + kFirst + static_cast<int>(k) % 4 / 2 +
                                  static_cast<int>(k) % 2 * kLanes<T>)...);
}
template <class T, int kFirst, std::size_t... k>
[[gnu::always_inline]] inline Vec<T> zip_pairs(const Vec<T>& a, const Vec<T>& b, std::index_sequence<k...>) {
  return __builtin_shufflevector(a, b,
                                 (static_cast<int>(k) / 4 * 4 + kFirst + static_cast<int>(k) % 2 +
                                  static_cast<int>(k) % 4 / 2 * kLanes<T>)...);
}
}  // namespace detail

/// Lane 4g + k of from[j] becomes lane 4g + j of to[k], for 4 vectors: a transposition of each four lanes.
template <class T>
[[gnu::always_inline]] inline void transpose_fours(const Vec<T>* from, Vec<T>* to) {
  constexpr auto kAll = detail::kAllLanes<T>;
  const Vec<T> low[2] = {detail::zip_fours<T, 0>(from[0], from[1], kAll),
                         detail::zip_fours<T, 0>(from[2], from[3], kAll)};
  const Vec<T> high[2] = {detail::zip_fours<T, 2>(from[0], from[1], kAll),
                          detail::zip_fours<T, 2>(from[2], from[3], kAll)};
  to[0] = detail::zip_pairs<T, 0>(low[0], low[1], kAll);
  to[1] = detail::zip_pairs<T, 2>(low[0], low[1], kAll);
  to[2] = detail::zip_pairs<T, 0>(high[0], high[1], kAll);
  to[3] = detail::zip_pairs<T, 2>(high[0], high[1], kAll);
}

/// Half of the lanes of a vector.
typedef float HalfVec __attribute__((vector_size(kVectorBytes / 2)));

namespace detail {
template <std::size_t... k>
[[gnu::always_inline]] inline Vec<float> join(const HalfVec& low, const HalfVec& high,
                                              std::index_sequence<k...>) {
  return __builtin_shufflevector(low, high, static_cast<int>(k)...);
}
}  // namespace detail

/// The first half of the lanes from one address, the second half from another one.
[[gnu::always_inline]] inline Vec<float> load_halves(const float* low, const float* high) {
#if defined(__AVX512F__)
  const __m512d v = _mm512_castpd256_pd512(_mm256_loadu_pd(reinterpret_cast<const double*>(low)));
  const __m256d w = _mm256_loadu_pd(reinterpret_cast<const double*>(high));
  return reinterpret_cast<Vec<float>>(_mm512_mask_broadcast_f64x4(v, 0xF0, w));
#else
  HalfVec halves[2];
  std::memcpy(&halves[0], low, sizeof halves[0]);
  std::memcpy(&halves[1], high, sizeof halves[1]);
  return detail::join(halves[0], halves[1], detail::kAllLanes<float>);
#endif
}

/// Lanes 4g, ..., 4g + 3 are the 4 elements at from(g). The processor puts them there while it loads them,
/// which leaves the unit for shuffles free.
template <class From>
[[gnu::always_inline]] inline Vec<float> load_fours(const From& from) {
#if defined(__AVX512F__)
  __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(from(0)));
  v = _mm512_insertf32x4(v, _mm_loadu_ps(from(1)), 1);
  v = _mm512_insertf32x4(v, _mm_loadu_ps(from(2)), 2);
  return reinterpret_cast<Vec<float>>(_mm512_insertf32x4(v, _mm_loadu_ps(from(3)), 3));
#elif defined(__AVX__)
  const __m256 low = _mm256_castps128_ps256(_mm_loadu_ps(from(0)));
  return reinterpret_cast<Vec<float>>(_mm256_insertf128_ps(low, _mm_loadu_ps(from(1)), 1));
#else
  return load(from(0));
#endif
}

/// 4 consecutive elements of kLanes<float> rows: lane k of to[j] is element j at row(k).
template <class Row>
[[gnu::always_inline]] inline void load_columns(const Row& row, Vec<float>* to) {
  Vec<float> fours[4];  // of rows i, i + 4, i + 8, ...
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) fours[i] = load_fours([&](int g) { return row(4 * g + i); });
  transpose_fours<float>(fours, to);
}

/// Lane l of row r becomes lane r of row l: log2(lanes) rounds in which pairs of rows are zipped.
template <class T>
[[gnu::always_inline]] inline void transpose(Vec<T> (&rows)[kLanes<T>]) {
  constexpr int kHalf = kLanes<T> / 2;
#pragma GCC unroll 4
  for (int round = 1; round < kLanes<T>; round *= 2) {
    Vec<T> zipped[kLanes<T>];
#pragma GCC unroll 8
    for (int i = 0; i < kHalf; ++i) {
      zipped[2 * i] = zip_low<T>(rows[i], rows[i + kHalf]);
      zipped[2 * i + 1] = zip_high<T>(rows[i], rows[i + kHalf]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) rows[i] = zipped[i];
  }
}

}  // namespace retrace::cpu
