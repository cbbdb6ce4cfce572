#include <retrace/core/fail.h>
#include <retrace/core/tensor.h>

#include <ostream>

namespace retrace {

namespace {

constexpr std::int64_t kEdge = 3;     // elements shown at each end of a long dimension
constexpr std::int64_t kLongest = 8;  // a dimension with more is abbreviated

template <class T>
void print_dimension(std::string& text, const Tensor& x, const T* values, int dim) {
  if (dim == x.shape().rank()) {
    text += fmt::format("{:.6g}", static_cast<double>(*values));
    return;
  }
  const std::int64_t extent = x.shape()[dim];
  const std::int64_t stride = x.shape().numel_after(dim);
  const bool innermost = dim + 1 == x.shape().rank();
  const std::string separator =
      innermost ? ", " : ",\n" + std::string(static_cast<std::size_t>(dim) + 8, ' ');
  text += "[";
  for (std::int64_t i = 0; i < extent; ++i) {
    if (i > 0) text += separator;
    if (extent > kLongest && i == kEdge) {
      text += "...";
      i = extent - kEdge - 1;
      continue;
    }
    print_dimension(text, x, values + i * stride, dim + 1);
  }
  text += "]";
}

}  // namespace

std::string to_string(const Tensor& x) {
  if (!x.defined()) return "tensor(undefined)";
  if (x.storage().released()) return fmt::format("tensor({}, {}, released)", x.shape(), x.dtype());
  const Tensor host = on_cpu(x);
  std::string text = "tensor(";
  visit(x.dtype(), [&]<class T>(TypeTag<T>) { print_dimension(text, host, host.data<T>(), 0); });
  return text +
         fmt::format(", {}{})", x.dtype(), x.device() == Device::cpu() ? "" : ", " + to_string(x.device()));
}

std::ostream& operator<<(std::ostream& out, const Tensor& x) { return out << to_string(x); }

}  // namespace retrace
