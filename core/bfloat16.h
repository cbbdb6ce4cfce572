#pragma once
#include <bit>
#include <concepts>
#include <cstdint>

namespace retrace {

/// A floating-point number in two bytes: the upper half of a float, so with its range and 8 bits of precision
/// (unit roundoff 2^-8). It is for storage: arithmetic happens in float, to which it converts by itself,
/// because that is exact. The way back rounds to the nearest, ties to even; a NaN stays one.
class BFloat16 {
 public:
  BFloat16() = default;
  /// Rounds to the nearest, ties to even.
  constexpr explicit BFloat16(float value) : bits_(rounded(std::bit_cast<std::uint32_t>(value))) {}
  /// Rounds once.
  constexpr explicit BFloat16(double value) : BFloat16(rounded_to_odd(value)) {}
  /// Of an integer, rounded once.
  template <std::integral I>
  constexpr explicit BFloat16(I value) : BFloat16(static_cast<double>(value)) {}

  /// The same number as a float: exact.
  constexpr operator float() const {  // NOLINT: implicit by intent
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits_) << 16U);
  }

  /// *this = BFloat16(value): in a loop over an array g++ 12 makes vector instructions of this, and not of
  /// that.
  void assign(float value) { bits_ = rounded(std::bit_cast<std::uint32_t>(value)); }

  /// The number with these 16 bits: sign, 8 of exponent, 7 of fraction.
  static constexpr BFloat16 from_bits(std::uint16_t bits) {
    BFloat16 result{0.0F};
    result.bits_ = bits;
    return result;
  }
  constexpr std::uint16_t bits() const { return bits_; }  ///< its 16 bits

 private:
  /// The upper half of a float's bits. No branch, so that loops become vector instructions.
  static constexpr std::uint16_t rounded(std::uint32_t bits) {
    const std::uint32_t nearest = (bits + 0x7fffU + (bits >> 16U & 1U)) >> 16U;
    const std::uint32_t quiet_nan = bits >> 16U | 0x40U;
    return static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? quiet_nan : nearest);
  }

  /// The float next to value towards 0, with its last bit set where it is not value itself: the bit keeps
  /// what decides the second rounding. Boldo, Melquiond: "When double rounding is odd", IMACS 2005.
  static constexpr float rounded_to_odd(double value) {
    const auto nearest = static_cast<float>(value);
    const auto back = static_cast<double>(nearest);
    if (back == value || value != value) return nearest;
    const bool away = back < 0 || (back == 0 && value < 0) ? back < value : back > value;
    const auto bits = std::bit_cast<std::uint32_t>(nearest);
    return std::bit_cast<float>((away ? bits - 1 : bits) | 1U);
  }

  std::uint16_t bits_;
};

}  // namespace retrace
