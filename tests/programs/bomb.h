#pragma once
// An operation whose derivative fails on demand.
#include <retrace/autograd/record.h>

#include <stdexcept>

namespace retrace::fuzz {

/// Whether bombs fail in backward, and whether one has.
struct Bombs {
  bool armed = false;
  bool went_off = false;
};
inline Bombs bombs{};

/// How a bomb fails.
enum class Failure : std::uint8_t { throws, wrong_shape, too_few };

/// y = x. While bombs are armed, its derivative throws, or returns what no derivative may.
inline Var bomb(const Var& x, Failure failure) {
  Tensor y = x.value().clone(Tag::activation);
  return record("bomb", {x}, y, {}, [failure](const Tensor& dy, const Saved&, const Wants&) -> Tensors {
    if (!bombs.armed) return {dy};
    bombs.went_off = true;
    if (failure == Failure::throws) throw std::runtime_error("a bomb went off");
    if (failure == Failure::too_few) return {};
    return {Tensor::zeros({dy.numel() + 1}, DType::f64, Tag::gradient)};
  });
}

}  // namespace retrace::fuzz
