#include <retrace/core/cpu/parallel.h>
#include <retrace/core/cpu/reduced_float.h>
#include <retrace/core/kernels.h>

namespace retrace {

namespace {

/// to[i] = from[i], converted.
template <class From, class To>
void convert(const From* from, std::int64_t n, To* to) {
  cpu::parallel_for(n, cpu::kGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) {
      if constexpr (std::is_same_v<From, double>)
        to[i] = static_cast<To>(from[i]);  // which rounds once to two bytes, too
      else
        cpu::put(to[i], from[i]);
    }
  });
}

void cast_cpu(const Tensor& x, Tensor& y) {
  visit_any_float("cast", x.dtype(), [&]<class From>(TypeTag<From>) {
    visit_any_float("cast", y.dtype(),
                    [&]<class To>(TypeTag<To>) { convert(x.data<From>(), x.numel(), y.mutable_data<To>()); });
  });
}

/// wide = the elements of x from number `first` on.
void widen(const Tensor& x, std::int64_t first, Tensor& wide) {
  visit_reduced_float(x.dtype(), [&]<class T>(TypeTag<T>) {
    convert(x.data<T>() + first, wide.numel(), wide.mutable_data<float>());
  });
}

/// The elements of y from number `first` on = wide.
void round_from(const Tensor& wide, Tensor& y, std::int64_t first) {
  visit_reduced_float(y.dtype(), [&]<class T>(TypeTag<T>) {
    convert(wide.data<float>(), wide.numel(), y.mutable_data<T>() + first);
  });
}

}  // namespace

namespace cpu {

Tensor wide_tensor(const Shape& shape) { return Tensor(shape, DType::f32, Tag::workspace); }

Tensor widened(const Tensor& x) {
  if (!x.defined()) return x;
  Tensor wide = wide_tensor(x.shape());
  widen(x, 0, wide);
  return wide;
}

Tensor widened(const Tensor& x, std::int64_t begin, std::int64_t end) {
  Tensor wide = wide_tensor(x.shape().with(0, end - begin));
  widen(x, begin * x.shape().numel_after(0), wide);
  return wide;
}

void round_into(const Tensor& wide, Tensor& y) { round_from(wide, y, 0); }

void round_into(const Tensor& wide, Tensor& y, std::int64_t begin) {
  round_from(wide, y, begin * y.shape().numel_after(0));
}

}  // namespace cpu

constinit decltype(kernel::cast) kernel::cast{&cast_cpu};

}  // namespace retrace
