#pragma once
// Internal: sums that run in vectors of T for a piece and go on in double from piece to piece.
#include <retrace/core/cpu/simd.h>

#include <algorithm>
#include <cstdint>

namespace retrace::cpu {

/// Elements that are added in T before the sum goes on in double.
inline constexpr std::int64_t kPiece = 4096;

/// Where a term of a sum reads: a vector or a single element at `i`.
template <class T>
struct VectorAt {
  std::int64_t i;
  Vec<T> operator()(const T* x) const { return load(x + i); }
};
template <class T>
struct ElementAt {
  std::int64_t i;
  T operator()(const T* x) const { return x[i]; }
};

struct TwoSums {
  double first = 0;
  double second = 0;
};

/// Adds term(at, first, second) to both sums for all of [0, n).
template <class T, class Term>
void add_terms(std::int64_t n, TwoSums& sums, const Term& term) {
  constexpr std::int64_t kStep = kLanes<T>;
  for (std::int64_t begin = 0; begin < n; begin += kPiece) {
    const std::int64_t end = std::min(n, begin + kPiece);
    Vec<T> first[2] = {};
    Vec<T> second[2] = {};
    std::int64_t i = begin;
    for (; i + 2 * kStep <= end; i += 2 * kStep) {
      term(VectorAt<T>{i}, first[0], second[0]);
      term(VectorAt<T>{i + kStep}, first[1], second[1]);
    }
    T first_rest = 0;
    T second_rest = 0;
    for (; i < end; ++i) term(ElementAt<T>{i}, first_rest, second_rest);
    sums.first += static_cast<double>(sum_lanes<T>(first[0] + first[1]) + first_rest);
    sums.second += static_cast<double>(sum_lanes<T>(second[0] + second[1]) + second_rest);
  }
}

struct Moments {
  double mean = 0;
  double variance = 0;  // biased
};

/// From the sums of x - rounded and (x - rounded)^2, where `rounded` is the mean of the `count` values in
/// their own type; what the rounding left out is corrected here.
inline Moments moments_around(double rounded, const TwoSums& centered, double count) {
  const double rest = centered.first / count;
  const double variance = centered.second / count - rest * rest;
  return {rounded + rest, variance < 0 ? 0 : variance};  // a NaN stays one
}

}  // namespace retrace::cpu
