#pragma once
// Internal. Exponentials and their kin in f32 that the compiler turns into vector instructions; f64, which is
// there to check with, takes the C library's.
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

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

/// log(1 + x) for x in [0, 1], as 2 artanh(x / (2 + x)): the first term left out is below 2^-29 of the first.
inline float log1p_of(float x) {
  const float s = x / (2 + x);
  const float q = s * s;
  const float rest =
      q * (1 / 3.0F +
           q * (1 / 5.0F +
                q * (1 / 7.0F + q * (1 / 9.0F + q * (1 / 11.0F + q * (1 / 13.0F + q * (1 / 15.0F)))))));
  return 2 * (s + s * rest);
}
inline double log1p_of(double x) { return std::log1p(x); }

/// Phi(x), the normal distribution's cumulative function, through erfc, which keeps its digits far below 0.
/// Press et al.: "Numerical recipes", section 6.2: erfc(z) = t e^(-z^2 + p(t)), t = 1 / (1 + z / 2), z >= 0.
inline float normal_cdf_of(float x) {
  const float z = std::abs(x) * 0.70710678F;
  const float t = 1 / (1 + z / 2);
  const float p =
      -1.26551223F +
      t * (1.00002368F +
           t * (0.37409196F +
                t * (0.09678418F +
                     t * (-0.18628806F +
                          t * (0.27886807F +
                               t * (-1.13520398F +
                                    t * (1.48851587F + t * (-0.82215223F + t * 0.17087277F))))))));
  const float half = t * exp_of(p - z * z) / 2;
  return x < 0 ? half : 1 - half;
}
inline double normal_cdf_of(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

}  // namespace retrace::cpu
