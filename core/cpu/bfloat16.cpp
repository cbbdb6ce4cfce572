#include <retrace/core/cpu/bfloat16.h>
#include <retrace/core/cpu/parallel.h>
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
        to[i] = static_cast<To>(from[i]);  // which rounds once to bf16, too
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

}  // namespace

namespace cpu {

Tensor widened(const Tensor& x) {
  if (!x.defined()) return x;
  Tensor wide = wide_tensor(x.shape());
  convert(x.data<BFloat16>(), x.numel(), wide.mutable_data<float>());
  return wide;
}

Tensor widened(const Tensor& x, std::int64_t begin, std::int64_t end) {
  Tensor wide = wide_tensor(x.shape().with(0, end - begin));
  convert(x.data<BFloat16>() + begin * x.shape().numel_after(0), wide.numel(), wide.mutable_data<float>());
  return wide;
}

Tensor wide_tensor(const Shape& shape) { return Tensor(shape, DType::f32, Tag::workspace); }

void round_into(const Tensor& wide, Tensor& y) {
  convert(wide.data<float>(), wide.numel(), y.mutable_data<BFloat16>());
}

void round_into(const Tensor& wide, Tensor& y, std::int64_t begin) {
  convert(wide.data<float>(), wide.numel(), y.mutable_data<BFloat16>() + begin * y.shape().numel_after(0));
}

}  // namespace cpu

constinit decltype(kernel::cast) kernel::cast{&cast_cpu};

}  // namespace retrace
