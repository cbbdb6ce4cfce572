#pragma once
// Included in front of sources that have all of their mutants in them (tools/mutate.py): the environment's
// RETRACE_MUTANT says which one is awake, by its number.
#pragma GCC system_header
#pragma GCC diagnostic ignored "-Wparentheses"  // in the sources, too
#include <cstdlib>
#include <type_traits>

namespace retrace_mutant {

/// 0: none.
inline const int awake = [] {
  const char* number = std::getenv("RETRACE_MUTANT");
  return number == nullptr ? 0 : std::atoi(number);
}();

/// `a < Mark<7>{} < b`, which has the precedence of `a < b`, is what mutant 7 makes of that.
template <int kNumber>
struct Mark {};

#define RETRACE_MUTANT_COMPARISON(op, other, Half)                                  \
  template <int kNumber, class Left>                                                \
  struct Half {                                                                     \
    const Left& left;                                                               \
  };                                                                                \
  template <int kNumber, class Left>                                                \
  constexpr Half<kNumber, Left> operator op(const Left& left, Mark<kNumber>) {      \
    return {left};                                                                  \
  }                                                                                 \
  template <int kNumber, class Left, class Right>                                   \
  constexpr bool operator op(const Half<kNumber, Left>& half, const Right& right) { \
    if (std::is_constant_evaluated()) return half.left op right;                    \
    return awake == kNumber ? half.left other right : half.left op right;           \
  }

RETRACE_MUTANT_COMPARISON(<, <=, Less)
RETRACE_MUTANT_COMPARISON(<=, <, LessOrEqual)
RETRACE_MUTANT_COMPARISON(>, >=, Greater)
RETRACE_MUTANT_COMPARISON(>=, >, GreaterOrEqual)
RETRACE_MUTANT_COMPARISON(==, !=, Equal)
#undef RETRACE_MUTANT_COMPARISON

}  // namespace retrace_mutant
