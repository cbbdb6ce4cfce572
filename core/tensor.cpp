#include <retrace/core/fail.h>
#include <retrace/core/kernels.h>
#include <retrace/core/shape_rules.h>
#include <retrace/core/tensor.h>

#include <algorithm>

namespace retrace {

namespace {

template <class From, class To>
void convert(const Tensor& from, To* to) {
  const std::span<const From> values = from.values<From>();
  std::transform(values.begin(), values.end(), to, [](From value) { return static_cast<To>(value); });
}

}  // namespace

Tensor::Tensor(const Shape& shape, DType dtype, Tag tag, Device device) : shape_(shape), dtype_(dtype) {
  storage_ = std::make_shared<Storage>(shape_, dtype_, tag, device);
}

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape, Tag tag) {
  if (static_cast<std::int64_t>(values.size()) != shape.numel())
    fail<ShapeError>("tensor", "{} needs {} values, got {}", shape, shape.numel(), values.size());
  Tensor result(shape, dtype_of<T>(), tag);
  std::copy(values.begin(), values.end(), result.mutable_data<T>());
  return result;
}

template Tensor Tensor::from(std::span<const float>, const Shape&, Tag);
template Tensor Tensor::from(std::span<const double>, const Shape&, Tag);
template Tensor Tensor::from(std::span<const BFloat16>, const Shape&, Tag);
template Tensor Tensor::from(std::span<const Float16>, const Shape&, Tag);
template Tensor Tensor::from(std::span<const std::uint8_t>, const Shape&, Tag);
template Tensor Tensor::from(std::span<const std::int32_t>, const Shape&, Tag);
template Tensor Tensor::from(std::span<const std::int64_t>, const Shape&, Tag);

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Tag tag, Device device) {
  Tensor result(shape, dtype, tag, device);
  kernel::fill(result, value);
  return result;
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  const Tensor x = on_cpu(*this);
  std::vector<T> result(static_cast<std::size_t>(numel()));
  visit(dtype_, [&]<class From>(TypeTag<From>) { convert<From>(x, result.data()); });
  return result;
}

template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<BFloat16> Tensor::to_vector() const;
template std::vector<Float16> Tensor::to_vector() const;
template std::vector<std::uint8_t> Tensor::to_vector() const;
template std::vector<std::int32_t> Tensor::to_vector() const;
template std::vector<std::int64_t> Tensor::to_vector() const;

double Tensor::item() const {
  if (numel() != 1) fail<ShapeError>("item", "the tensor must have one element, got {}", shape_);
  return to_vector<double>().front();
}

Tensor Tensor::with_shape(std::span<const std::int64_t> extents) const {
  Tensor result = *this;
  result.shape_ = reshaped_shape("reshape", shape_, extents);
  return result;
}

Tensor Tensor::slice(std::int64_t begin, std::int64_t end) const {
  if (shape_.rank() == 0 || begin < 0 || end > shape_[0] || begin >= end)
    fail<ShapeError>("slice", "rows must satisfy 0 <= begin < end <= the first extent of {}, got [{},{})",
                     shape_, begin, end);
  Tensor result = *this;
  result.shape_ = shape_.with(0, end - begin);
  result.offset_ += begin * (bytes() / shape_[0]);
  if (result.bytes() != storage().bytes()) storage().mark_sliced();
  return result;
}

Tensor Tensor::clone(Tag tag) const {
  Tensor result(shape_, dtype_, tag, device());
  kernel::copy(*this, result);
  return result;
}

Tensor Tensor::to(DType dtype, Tag tag) const {
  if (!(device() == Device::cpu()) && !(is_float(dtype_) && is_float(dtype)))
    return to(Device::cpu(), Tag::data).to(dtype, Tag::data).to(device(), tag);
  Tensor result(shape_, dtype, tag, device());
  if (is_float(dtype_) && is_float(dtype)) {
    kernel::cast(*this, result);
    return result;
  }
  visit(dtype_, [&]<class From>(TypeTag<From>) {
    visit(dtype, [&]<class To>(TypeTag<To>) { convert<From>(*this, result.mutable_data<To>()); });
  });
  return result;
}

Tensor Tensor::to(Device to, Tag tag) const {
  if (to == device()) return clone(tag);
  const bool host_to_device = device() == Device::cpu();
  if (!host_to_device && !(to == Device::cpu())) return this->to(Device::cpu(), Tag::data).to(to, tag);
  Tensor result(shape_, dtype_, tag, to);
  visit(dtype_, [&]<class T>(TypeTag<T>) {
    const auto* from = reinterpret_cast<const std::byte*>(data<T>());
    auto* copy = reinterpret_cast<std::byte*>(result.mutable_data<T>());
    if (host_to_device)
      allocator(to).upload(from, copy, bytes());
    else
      allocator(device()).download(from, copy, bytes());
  });
  return result;
}

void Tensor::check_on_cpu() const {
  if (!(device() == Device::cpu()))
    fail<DeviceError>("tensor",
                      "elements that the program reads must be on the CPU, got {}; Tensor::to copies them",
                      device());
}

Storage& Tensor::storage() const {
  if (!storage_) fail<ArgumentError>("tensor", "a tensor that is used must be defined, got an undefined one");
  return *storage_;
}

Storage& Tensor::checked(DType wanted) const {
  if (wanted != dtype_)
    fail<DTypeError>("tensor", "the elements are {}, but {} was asked for", dtype_, wanted);
  return storage();
}

Tensor like(const Tensor& x, Tag tag) { return like(x, x.shape(), tag); }

Tensor like(const Tensor& x, const Shape& shape, Tag tag) {
  return Tensor(shape, x.dtype(), tag, x.device());
}

Tensor on_cpu(const Tensor& x) { return x.device() == Device::cpu() ? x : x.to(Device::cpu(), Tag::data); }

}  // namespace retrace
