#pragma once
#include <retrace/core/tensor.h>

#include <cstdint>

/// Fills tensors of weights. Random ones draw from the next stream of the current scope (see core/random.h),
/// so the same seed and the same program give the same network.
namespace retrace::init {

/// How many values a unit sees in forward (in), and how many see it, on the way back (out).
enum class Fan : std::uint8_t {
  in,  ///< of forward
  out  ///< of the way back
};
/// Both numbers, for one shape of weights.
struct Fans {
  std::int64_t in = 0;   ///< how many values a unit sees
  std::int64_t out = 0;  ///< how many units see a value
};
/// Of weights [out, in, ...], where each further extent (of a kernel) multiplies both. Throws ShapeError
/// below rank 2.
Fans fans_of(const Shape& weights);

void constant(Tensor& w, double value);  ///< every element is `value`
/// Uniform in [low, high). Throws ArgumentError unless low <= high, both finite.
void uniform(Tensor& w, double low, double high);
/// Throws ArgumentError for a negative standard deviation.
void normal(Tensor& w, double mean = 0, double std = 1);

/// Standard deviation sqrt(2 / (1 + negative_slope^2) / fan), which keeps the variance through a leaky ReLU.
/// Throws ShapeError below rank 2. He, Zhang, Ren, Sun: "Delving deep into rectifiers", ICCV 2015.
void he_normal(Tensor& w, Fan fan = Fan::in, double negative_slope = 0);
/// Uniform with the standard deviation of he_normal. Throws what that throws.
void he_uniform(Tensor& w, Fan fan = Fan::in, double negative_slope = 0);

/// Standard deviation gain sqrt(2 / (fan in + fan out)). Throws ShapeError below rank 2.
/// Glorot, Bengio: "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
void xavier_normal(Tensor& w, double gain = 1);
/// Uniform with the standard deviation of xavier_normal. Throws what that throws.
void xavier_uniform(Tensor& w, double gain = 1);

/// What PyTorch's linear and convolution layers begin with: weights [out, in, ...] and, unless undefined,
/// biases [out] are uniform in [-1, 1) / sqrt(fan in).
void layer_default(Tensor& w, Tensor& bias);

}  // namespace retrace::init
