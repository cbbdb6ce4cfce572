#pragma once
// Internal: sums that run in vectors of T for a piece and go on in double from piece to piece.
#include <retrace/core/cpu/simd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace retrace::cpu {

/// Elements that are added in T before the sum goes on in double.
inline constexpr std::int64_t kPiece = 4096;

/// Where a term of a sum reads: a vector or a single element at `i`.
template <class T>
struct VectorAt {
  std::int64_t i;
  Vec<T> operator()(const T* x) const { return load(x + i); }
  /// Asks for what will be read, or written, there soon.
  [[gnu::always_inline]] void fetch(const T* x) const { __builtin_prefetch(x + i); }
  [[gnu::always_inline]] void fetch_to_write(const T* x) const { __builtin_prefetch(x + i, 1); }
};
template <class T>
struct ElementAt {
  std::int64_t i;
  T operator()(const T* x) const { return x[i]; }
  void fetch(const T*) const {}
  void fetch_to_write(const T*) const {}
};

struct TwoSums {
  double first = 0;
  double second = 0;
};

/// Two sums of many runs of terms: in vectors of T for up to kPiece terms, then in double. What fills no
/// vector is added in double at once.
template <class T>
class RunningSums {
 public:
  /// Adds term(at, first, second) to both sums for all of [0, n).
  template <class Term>
  [[gnu::always_inline]] void add(std::int64_t n, const Term& term) {
    for (std::int64_t begin = 0; begin < n; begin += kPiece)
      add_piece(begin, std::min(n, begin + kPiece), term);
  }

  /// The sums of all terms so far.
  const TwoSums& total() {
    sums_.first += static_cast<double>(sum_lanes<T>(first_[0] + first_[1]));
    sums_.second += static_cast<double>(sum_lanes<T>(second_[0] + second_[1]));
    for (int k : {0, 1}) first_[k] = second_[k] = Vec<T>{};
    terms_ = 0;
    return sums_;
  }

 private:
  template <class Term>
  [[gnu::always_inline]] void add_piece(std::int64_t begin, std::int64_t end, const Term& term) {
    constexpr std::int64_t kStep = kLanes<T>;
    if (terms_ + end - begin > kPiece) total();
    terms_ += end - begin;
    Vec<T> first[2] = {first_[0], first_[1]};
    Vec<T> second[2] = {second_[0], second_[1]};
    std::int64_t i = begin;
    for (; i + 2 * kStep <= end; i += 2 * kStep) {
      term(VectorAt<T>{i}, first[0], second[0]);
      term(VectorAt<T>{i + kStep}, first[1], second[1]);
    }
    if (i + kStep <= end) {
      term(VectorAt<T>{i}, first[0], second[0]);
      i += kStep;
    }
    for (int k : {0, 1}) {
      first_[k] = first[k];
      second_[k] = second[k];
    }
    for (; i < end; ++i) term(ElementAt<T>{i}, sums_.first, sums_.second);
  }

  Vec<T> first_[2] = {};
  Vec<T> second_[2] = {};
  std::int64_t terms_ = 0;
  TwoSums sums_;
};

/// Adds term(at, first, second) to both sums for all of [0, n).
template <class T, class Term>
void add_terms(std::int64_t n, TwoSums& sums, const Term& term) {
  RunningSums<T> running;
  running.add(n, term);
  const TwoSums& total = running.total();
  sums.first += total.first;
  sums.second += total.second;
}

struct Moments {
  double mean = 0;
  double variance = 0;  // biased

  bool finite() const { return std::isfinite(variance); }
};

/// From the sums of x - rounded and (x - rounded)^2 of `count` values, where `rounded` is close to their
/// mean; what it is away from the mean is corrected here.
inline Moments moments_around(double rounded, const TwoSums& centered, double count) {
  const double rest = centered.first / count;
  const double variance = centered.second / count - rest * rest;
  return {rounded + rest, variance < 0 ? 0 : variance};  // a NaN stays one
}

/// Computes the moments in double from the start, for values whose squares or sum T does not hold. `for_each`
/// calls its argument with each of the `count` values.
template <class ForEach>
Moments moments_in_double(const ForEach& for_each, double count) {
  double sum = 0;
  for_each([&](auto x) { sum += static_cast<double>(x); });
  Moments moments{.mean = sum / count};
  for_each([&](auto x) {
    const double d = static_cast<double>(x) - moments.mean;
    moments.variance += d * d;
  });
  moments.variance /= count;
  return moments;
}

}  // namespace retrace::cpu
