#pragma once
#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace retrace {

/// A floating-point number in two bytes, for storage: arithmetic happens in float, to which it converts by
/// itself, because that is exact. The way back rounds to the nearest, ties to even; a NaN stays one. The
/// format says what the bits mean.
template <class Format>
class ReducedFloat {
 public:
  ReducedFloat() = default;
  /// Rounds to the nearest, ties to even.
  constexpr explicit ReducedFloat(float value)
      : bits_(Format::rounded(std::bit_cast<std::uint32_t>(value))) {}
  /// Rounds once.
  constexpr explicit ReducedFloat(double value) : ReducedFloat(rounded_to_odd(value)) {}
  /// Of an integer, rounded once.
  template <std::integral I>
  constexpr explicit ReducedFloat(I value) : ReducedFloat(static_cast<double>(value)) {}

  /// The same number as a float: exact.
  constexpr operator float() const {  // NOLINT: implicit by intent
    return std::bit_cast<float>(Format::widened(bits_));
  }

  /// *this = ReducedFloat(value): in a loop over an array g++ 12 makes vector instructions of this, and not
  /// of that.
  void assign(float value) { bits_ = Format::rounded(std::bit_cast<std::uint32_t>(value)); }

  /// The number with these 16 bits.
  static constexpr ReducedFloat from_bits(std::uint16_t bits) {
    ReducedFloat result{0.0F};
    result.bits_ = bits;
    return result;
  }
  constexpr std::uint16_t bits() const { return bits_; }  ///< its 16 bits

 private:
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

// The formats: bits of a float to the nearest 16 bits, and back. Without branches, so that loops become
// vector instructions.

/// The upper half of a float: its range, and 8 bits of precision (unit roundoff 2^-8).
struct BFloat16Format {
  /// The bits of the float with that value.
  static constexpr std::uint32_t widened(std::uint16_t bits) {
    return static_cast<std::uint32_t>(bits) << 16U;
  }
  /// The nearest number's bits, of a float's.
  static constexpr std::uint16_t rounded(std::uint32_t bits) {
    const std::uint32_t nearest = (bits + 0x7fffU + (bits >> 16U & 1U)) >> 16U;
    const std::uint32_t quiet_nan = bits >> 16U | 0x40U;
    return static_cast<std::uint16_t>((bits & 0x7fffffffU) > 0x7f800000U ? quiet_nan : nearest);
  }
};

/// IEEE 754's binary16: 11 bits of precision (unit roundoff 2^-11), from 2^-24 to 65504.
struct Float16Format {
  /// The bits of the float with that value.
  static constexpr std::uint32_t widened(std::uint16_t bits) {
    const std::uint32_t magnitude = bits & 0x7fffU;
    // As the upper bits of a float it is too small by the difference of the exponents' biases, which is 112.
    const float number = std::bit_cast<float>(magnitude << 13U) * 0x1p112F;
    const std::uint32_t infinity_or_nan = magnitude < 0x7c00U ? 0 : 0x7f800000U;
    const std::uint32_t sign = (static_cast<std::uint32_t>(bits) & 0x8000U) << 16U;
    return std::bit_cast<std::uint32_t>(number) | infinity_or_nan | sign;
  }
  /// The nearest number's bits, of a float's.
  static constexpr std::uint16_t rounded(std::uint32_t bits) {
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    const std::uint32_t normal = (magnitude - (112U << 23U) + 0xfffU + (magnitude >> 13U & 1U)) >> 13U;
    // beside 0.5 a float's last bit is worth 2^-24
    const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) -
                                    std::bit_cast<std::uint32_t>(0.5F);
    const std::uint32_t nan = 0x7e00U | (magnitude >> 13U & 0x3ffU);
    const std::uint32_t finite = magnitude < 0x38800000U ? subnormal : normal;  // 2^-14
    const std::uint32_t number = magnitude < 0x47800000U ? finite : 0x7c00U;    // 2^16
    const std::uint32_t result = magnitude > 0x7f800000U ? nan : number;
    return static_cast<std::uint16_t>(result | (bits >> 16U & 0x8000U));
  }
};

using BFloat16 = ReducedFloat<BFloat16Format>;  ///< bf16
using Float16 = ReducedFloat<Float16Format>;    ///< f16

/// T is BFloat16 or Float16.
template <class T>
inline constexpr bool kIsReducedFloat = false;
template <class Format>
inline constexpr bool kIsReducedFloat<ReducedFloat<Format>> = true;  ///< one of the two

/// The type in which kernels compute with numbers that are stored as T.
template <class T>
using Compute = std::conditional_t<kIsReducedFloat<T>, float, T>;

}  // namespace retrace
