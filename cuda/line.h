#pragma once
// Internal: what softmax and the losses share.
#include <retrace/cuda/team.h>

#include <cmath>

namespace retrace::cuda {

/// The elements along one dimension, at one index of all others.
template <class T>
struct Line {
  T* first;
  std::int64_t step;
  std::int64_t size;

  __device__ T& operator[](std::int64_t i) const { return first[i * step]; }
};

/// What exponents are taken of: with the largest element subtracted none overflows. It and log(sum) are never
/// added, which would round what is small beside large elements.
struct Exponents {
  double most;
  double sum;  ///< of exp(x_i - most)

  template <class T>
  __device__ double shifted(T x) const {
    return static_cast<double>(x) - most;
  }
  template <class T>
  __device__ double probability(T x) const {
    return std::exp(shifted(x)) / sum;
  }
};

/// Of a line that a team reads together, in double. With a NaN or an infinity the sum is one.
template <class Team, class T>
__device__ Exponents exponents_of(const Line<const T>& x) {
  T most = x[0];
  for (auto i = Team::rank(); i < x.size; i += Team::kSize) most = most < x[i] ? x[i] : most;
  Exponents of{.most = static_cast<double>(Team::max(most)), .sum = 0};
  for (auto i = Team::rank(); i < x.size; i += Team::kSize) of.sum += std::exp(of.shifted(x[i]));
  of.sum = Team::sum(of.sum);
  return of;
}

}  // namespace retrace::cuda
