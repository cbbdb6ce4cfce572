#include <retrace/core/error.h>
#include <retrace/core/kernel.h>
#include <retrace/core/kernels.h>

#include "../support/catch.h"
#include "../support/throws.h"

using namespace retrace;
using test::check_throws;

namespace {

void halve_cpu(const Tensor& x, double, Tensor& y) { y.mutable_data<double>()[0] = x.item() / 2; }

constinit Kernel<void(const Tensor& x, double unused, Tensor& y)> halve{&halve_cpu};
constinit Kernel<void(double before, const Tensor& x, double unused, Tensor& y)> late{
    [](double, const Tensor& x, double, Tensor& y) { y.mutable_data<double>()[0] = x.item() / 2; }};

}  // namespace

TEST_CASE("a kernel calls the function of its first tensor's device", "[kernel]") {
  Tensor y({}, DType::f64);
  halve(Tensor::full({}, 5, DType::f64), 0, y);
  CHECK(y.item() == 2.5);
  late(1, Tensor::full({}, 7, DType::f64), 0, y);
  CHECK(y.item() == 3.5);
}

TEST_CASE("another device's function leaves the CPU's alone", "[kernel]") {
  halve.install(DeviceKind::cuda, [](const Tensor&, double, Tensor&) { FAIL("not on this device"); });
  Tensor y({}, DType::f64);
  halve(Tensor::full({}, 5, DType::f64), 0, y);
  CHECK(y.item() == 2.5);
}

TEST_CASE("kernels on floating-point numbers refuse others", "[kernel]") {
  const Tensor x({2}, DType::i64);
  Tensor y({2}, DType::i64);
  check_throws<DTypeError>([&] { kernel::add(x, x, y); }, "[add] x must be f32, f64, bf16 or f16, got i64");
  check_throws<DTypeError>([&] { kernel::sigmoid(x, y); },
                           "[sigmoid] x must be f32, f64, bf16 or f16, got i64");
}
