// Chapter 5: how far inverse(forward(x)) is from x, by depth, kind of coupling and element type.
#include <retrace/retrace.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

using namespace retrace;

namespace {

// [networks]
/// v: [N, 4] -> [N, out].
std::shared_ptr<Module> branch(std::int64_t out) {
  return std::make_shared<Sequential>(std::make_shared<Linear>(4, 16), std::make_shared<Tanh>(),
                                      std::make_shared<Linear>(16, out));
}

/// y1 = x1 + F(x2), and y2 likewise.
std::shared_ptr<InvertibleModule> additive() {
  return std::make_shared<AdditiveCoupling>(branch(4), branch(4));
}

/// y1 = s x1 + t with s = sigmoid(h + 2), which is about 0.88, and (h, t) = F(x2).
std::shared_ptr<InvertibleModule> affine() {
  return std::make_shared<AffineCoupling>(branch(8), branch(8), adapter<AffineAdapterSigmoid>());
}
// [/networks]

// [drift]
/// The largest error of inverse(forward(x)), as a part of the largest |x|.
template <class T>
double drift(std::shared_ptr<InvertibleModule> (*coupling)(), int depth, DType dtype, std::uint64_t seed) {
  manual_seed(seed);
  std::vector<std::shared_ptr<InvertibleModule>> blocks;
  for (int b = 0; b < depth; ++b) blocks.push_back(coupling());
  InvertibleSequence sequence(blocks);
  sequence.to(dtype);
  Tensor x({32, 8}, dtype);
  init::normal(x);

  const Tensors y = sequence.advance({x.clone(Tag::activation)});
  const Tensors back = sequence.retreat(y);
  double error = 0;
  double size = 0;
  for (std::int64_t i = 0; i < x.numel(); ++i) {
    error = std::max(error, std::abs(static_cast<double>(back.front().data<T>()[i] - x.data<T>()[i])));
    size = std::max(size, std::abs(static_cast<double>(x.data<T>()[i])));
  }
  return error / size;
}
// [/drift]

/// The power of ten next to the geometric mean over 20 chains: the digits differ from machine to machine.
template <class T>
int power_of_drift(std::shared_ptr<InvertibleModule> (*coupling)(), int depth, DType dtype) {
  constexpr int kChains = 20;
  double sum = 0;
  for (std::uint64_t seed = 1; seed <= kChains; ++seed)
    sum += std::log10(drift<T>(coupling, depth, dtype, seed));
  return static_cast<int>(std::lround(sum / kChains));
}

}  // namespace

int main() {
  std::printf("depth   additive f32   additive f64   affine f32   affine f64\n");
  for (const int depth : {1, 2, 5, 12, 25, 40, 100})
    std::printf("%5d          1e%+03d          1e%+03d        1e%+03d        1e%+03d\n", depth,
                power_of_drift<float>(additive, depth, DType::f32),
                power_of_drift<double>(additive, depth, DType::f64),
                power_of_drift<float>(affine, depth, DType::f32),
                power_of_drift<double>(affine, depth, DType::f64));
}
