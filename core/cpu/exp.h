#pragma once
// Internal. Exponentials in f32 that the compiler turns into vector instructions; f64, which is there to
// check with, takes the C library's.
#include <bit>
#include <cmath>
#include <cstdint>

namespace retrace::cpu {

namespace detail {

/// e^x = 2^n (1 + q), for x in [-104, 89].
struct ExpParts {
  float q;          // e^r - 1 for r = x - n ln 2, |r| <= ln 2 / 2
  std::uint32_t n;  // modulo 2^32
};

inline ExpParts exp_parts(float x) {
  constexpr float kRounder =
      0x1.8p23F;  // adding it rounds to an integer, which then stands in the lowest bits
  const float shifted = x * 0x1.715476p0F + kRounder;  // x / ln 2
  const float n = shifted - kRounder;
  const float r =
      (x - n * 0x1.62e4p-1F) - n * 0x1.7f7d1cp-20F;  // ln 2 in two parts; n times the first is exact
  // Taylor's series: the first term left out is below 2^-27.
  const float q =
      r + r * r *
              (1 / 2.0F +
               r * (1 / 6.0F + r * (1 / 24.0F + r * (1 / 120.0F + r * (1 / 720.0F + r * (1 / 5040.0F))))));
  return {q, std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRounder)};
}

/// 2^n for n in [-126, 127], modulo 2^32.
inline float power_of_two(std::uint32_t n) { return std::bit_cast<float>((n + 127) << 23); }

}  // namespace detail

/// e^x within two units in the last place; 0, infinity and NaN where they belong.
inline float exp_of(float x) {
  const float bounded = x < -104.0F ? -104.0F : x > 89.0F ? 89.0F : x;
  const detail::ExpParts parts = detail::exp_parts(bounded);
  // In two steps, because 2^n itself may be too large or too small for a float.
  const std::uint32_t half = ((parts.n + 256) >> 1) - 128;
  return (1 + parts.q) * detail::power_of_two(half) * detail::power_of_two(parts.n - half);
}
inline double exp_of(double x) { return std::exp(x); }

/// tanh(x) = (e^2x - 1) / (e^2x + 1), without cancellation near 0.
inline float tanh_of(float x) {
  const float y = 2 * std::abs(x);
  const detail::ExpParts parts = detail::exp_parts(y > 20.0F ? 20.0F : y);
  const float power = detail::power_of_two(parts.n);
  const float expm1 = power * parts.q + (power - 1);
  return std::copysign(expm1 / (expm1 + 2), x);
}
inline double tanh_of(double x) { return std::tanh(x); }

/// 1 / (1 + e^-x), through e to a negative power alone, so that nothing overflows.
template <class T>
T sigmoid_of(T x) {
  const T e = exp_of(-std::abs(x));
  return (x >= 0 ? 1 : e) / (1 + e);
}

}  // namespace retrace::cpu
