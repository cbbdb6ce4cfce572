#pragma once
#include <retrace/core/random.h>
#include <retrace/core/tensor.h>
#include <retrace/core/threads.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace retrace::test {

/// Numbers in [-1, 1), a function of the seed alone.
inline Tensor random_tensor(const Shape& shape, DType dtype, std::uint64_t seed) {
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 2.0 * uniform_at({.seed = seed, .stream = 7}, i) - 1.0;
  return Tensor::from<double>(values, shape).to(dtype, Tag::data);
}

/// The same numbers, bit by bit.
inline bool bit_equal(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && visit(a.dtype(), [&]<class T>(TypeTag<T>) {
           return std::memcmp(a.data<T>(), b.data<T>(), static_cast<std::size_t>(a.bytes())) == 0;
         });
}

/// Runs with this number of threads while it exists.
class WithThreads {
 public:
  explicit WithThreads(int threads) : before_(num_threads()) { set_num_threads(threads); }
  ~WithThreads() { set_num_threads(before_); }
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int before_;
};

/// Whether `make` returns the same bits with one, two and three threads.
template <class Make>
bool same_for_any_threads(const Make& make) {
  const auto run = [&](int threads) {
    const WithThreads scope(threads);
    return make();
  };
  const Tensor one = run(1);
  return bit_equal(one, run(2)) && bit_equal(one, run(3));
}

}  // namespace retrace::test
