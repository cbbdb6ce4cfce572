#pragma once
// How far a right result may be from the exact one, counted in roundings: a test says what is computed, not
// what one machine came to. Another machine adds in another order and fuses other products; the bounds hold
// for all.
//
// u, the unit roundoff, is the largest relative error of one rounding to nearest. To first order, n roundings
// in a row come to n u, and a reference of `Rounded` numbers follows each rounding to the result. (N. Higham,
// "Accuracy and Stability of Numerical Algorithms", 2002, chapter 3.)
#include <retrace/core/epsilon.h>
#include <retrace/core/tensor.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace retrace::test {

/// u: half of the distance from 1 to the next number.
inline double unit_roundoff(DType dtype) { return detail::epsilon_of(dtype) / 2; }

/// |got - expected| in roundings of `expected`. 0 is nothing but 0.
inline double roundings(double got, double expected, DType dtype) {
  const double error = std::abs(got - expected);
  return error == 0 ? 0 : error / (unit_roundoff(dtype) * std::abs(expected));
}

/// The largest |got - expected| in roundings of the largest |expected|, in got's type.
inline double roundings(const Tensor& got, const std::vector<double>& expected) {
  const std::vector<double> values = got.to_vector<double>();
  double error = values.size() == expected.size() ? 0 : INFINITY;
  double scale = 0;
  for (std::size_t i = 0; i < std::min(values.size(), expected.size()); ++i) {
    const double difference = std::abs(values[i] - expected[i]);
    error = difference <= error ? error : difference;  // keeps a NaN
    scale = std::max(scale, std::abs(expected[i]));
  }
  return error == 0 ? 0 : error / (unit_roundoff(got.dtype()) * scale);
}
inline double roundings(const Tensor& got, const Tensor& expected) {
  return roundings(got, expected.to_vector<double>());
}

/// A number of a reference, and how far a computation of it that rounds each result may be off, in units of
/// u. Operators compute with the numbers, pass the errors of their operands on, and add their own rounding.
struct Rounded {
  double value = 0;
  double error = 0;
};
inline Rounded operator+(const Rounded& a, const Rounded& b) {
  const double sum = a.value + b.value;
  return {sum, a.error + b.error + std::abs(sum)};
}
inline Rounded operator-(const Rounded& a, const Rounded& b) { return a + Rounded{-b.value, b.error}; }
inline Rounded operator*(const Rounded& a, const Rounded& b) {
  const double product = a.value * b.value;
  return {product, std::abs(a.value) * b.error + std::abs(b.value) * a.error + std::abs(product)};
}
inline Rounded operator/(const Rounded& a, const Rounded& b) {
  const double quotient = a.value / b.value;
  return {quotient, (a.error + std::abs(quotient) * b.error) / std::abs(b.value) + std::abs(quotient)};
}
inline Rounded sqrt(const Rounded& a) {
  const double root = std::sqrt(a.value);
  return {root, a.error / (2 * root) + root};
}

/// A sum of terms in any order. Of n - 1 additions each rounds a partial sum, at most as large as the terms'
/// magnitudes together. Where these are many, they cancel: that their errors exceed 4 sqrt(n - 1) has a
/// probability below 1e-3 even if all partial sums are that large. (N. Higham and T. Mary, "A New Approach to
/// Probabilistic Rounding Error Analysis", 2019.)
class RoundedSum {
 public:
  RoundedSum& operator+=(const Rounded& term) {
    value_ += term.value;
    error_ += term.error;
    magnitude_ += std::abs(term.value);
    ++terms_;
    return *this;
  }
  operator Rounded() const {
    const double additions = std::max(terms_ - 1, 0.0);
    return {value_, error_ + std::min(additions, 4 * std::sqrt(additions)) * magnitude_};
  }

 private:
  double value_ = 0, error_ = 0, magnitude_ = 0, terms_ = 0;
};

/// The largest error of `got`, as a part of what its type's roundings allow: a right result has at most 1.
/// `growth` is by how much an algorithm rounds more than the reference's formula.
template <class Numbers>  // Rounded or RoundedSum
double part_of_allowed(const Tensor& got, const std::vector<Numbers>& expected, double growth = 1) {
  const double u = unit_roundoff(got.dtype()) + unit_roundoff(DType::f64);  // the reference itself rounds
  const std::vector<double> values = got.to_vector<double>();
  double worst = values.size() == expected.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(values.size(), expected.size()); ++i) {
    const Rounded& number = expected[i];
    const double difference = std::abs(values[i] - number.value);
    const double part = difference == 0 ? 0 : difference / (growth * u * number.error);
    worst = part <= worst ? worst : part;  // keeps a NaN
  }
  return worst;
}

}  // namespace retrace::test
