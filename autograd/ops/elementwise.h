#pragma once
#include <retrace/autograd/var.h>

#include <cstdint>
#include <string_view>

namespace retrace {

/// @file
/// Of two variables, extents are equal or 1, aligned at the last dimension, and where one is 1 it is
/// repeated; gradients are summed back to the shape of their input. Throws ShapeError, and DTypeError unless
/// both have the same floating-point type. Of one variable: throws DTypeError unless it is floating-point.

/// z = x + y.
Var add(const Var& x, const Var& y);
/// z = x - y.
Var sub(const Var& x, const Var& y);
/// z = x y, element by element.
Var mul(const Var& x, const Var& y);
/// z = x / y.
Var div(const Var& x, const Var& y);

inline Var operator+(const Var& x, const Var& y) { return add(x, y); }  ///< add(x, y)
inline Var operator-(const Var& x, const Var& y) { return sub(x, y); }  ///< sub(x, y)
inline Var operator*(const Var& x, const Var& y) { return mul(x, y); }  ///< mul(x, y)
inline Var operator/(const Var& x, const Var& y) { return div(x, y); }  ///< div(x, y)

/// y = scale x + shift.
Var scale_shift(const Var& x, double scale, double shift);
/// y = a / x.
Var reciprocal(const Var& x, double a = 1);
/// y = -x.
Var neg(const Var& x);

namespace detail {
/// scale_shift, called `op` in errors.
Var scale_shift(std::string_view op, const Var& x, double scale, double shift);
}  // namespace detail

inline Var operator+(const Var& x, double a) { return detail::scale_shift("add", x, 1, a); }      ///< x + a
inline Var operator+(double a, const Var& x) { return detail::scale_shift("add", x, 1, a); }      ///< a + x
inline Var operator-(const Var& x, double a) { return detail::scale_shift("sub", x, 1, -a); }     ///< x - a
inline Var operator-(double a, const Var& x) { return detail::scale_shift("sub", x, -1, a); }     ///< a - x
inline Var operator*(const Var& x, double a) { return detail::scale_shift("mul", x, a, 0); }      ///< a x
inline Var operator*(double a, const Var& x) { return detail::scale_shift("mul", x, a, 0); }      ///< a x
inline Var operator/(const Var& x, double a) { return detail::scale_shift("div", x, 1 / a, 0); }  ///< x / a
inline Var operator/(double a, const Var& x) { return reciprocal(x, a); }                         ///< a / x
inline Var operator-(const Var& x) { return neg(x); }                                             ///< neg(x)

// Of one variable.

/// y = e^x.
Var exp(const Var& x);
/// y = ln x.
Var log(const Var& x);
/// y = sqrt(x).
Var sqrt(const Var& x);
/// y = x^2.
Var square(const Var& x);
/// y = tanh(x).
Var tanh(const Var& x);
/// y = 1 / (1 + e^-x).
Var sigmoid(const Var& x);
/// y = x / (1 + e^-x). Elfwing, Uchibe, Doya: "Sigmoid-weighted linear units", 2017; also called swish.
Var silu(const Var& x);

/// How gelu is computed: exactly, or through tanh.
enum class GeluApproximation : std::uint8_t {
  none,  ///< exactly, through erf
  tanh   ///< through tanh
};
/// y = x (1 + erf(x / sqrt(2))) / 2, approximately x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
/// Hendrycks, Gimpel: "Gaussian error linear units", 2016.
Var gelu(const Var& x, GeluApproximation approximate = GeluApproximation::none);

}  // namespace retrace
