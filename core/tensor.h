#pragma once
#include <retrace/core/dtype.h>
#include <retrace/core/shape.h>
#include <retrace/core/storage.h>

#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace retrace {

/// A contiguous array (row-major) of one element type on shared storage. Cheap to copy: copies share their
/// bytes. It has no gradient; a Var is a tensor with a place on the tape. Operations take a Tensor as a
/// constant Var and return a Var: `(a + b).value()` is the sum of two tensors.
class Tensor {
 public:
  /// An undefined tensor, which has no shape and no bytes.
  Tensor() = default;
  /// Uninitialised elements. Throws OutOfMemoryError.
  Tensor(const Shape& shape, DType dtype, Tag tag = Tag::data, Device device = Device::cpu());

  /// A copy of `values`, in row-major order. Throws ShapeError when their number is not shape.numel().
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape, Tag tag = Tag::data);
  /// The same from a list: `Tensor::from<float>({1, 2, 3}, {3})`.
  template <class T>
  static Tensor from(std::initializer_list<T> values, const Shape& shape, Tag tag = Tag::data) {
    return from(std::span<const T>(values.begin(), values.size()), shape, tag);
  }
  /// Every element is `value`, converted to `dtype`; for integers its fraction is cut off. Throws
  /// ArgumentError if it is out of their range.
  static Tensor full(const Shape& shape, double value, DType dtype, Tag tag = Tag::data,
                     Device device = Device::cpu());
  /// Every element is 0.
  static Tensor zeros(const Shape& shape, DType dtype, Tag tag = Tag::data, Device device = Device::cpu()) {
    return full(shape, 0, dtype, tag, device);
  }
  /// Every element is 1.
  static Tensor ones(const Shape& shape, DType dtype, Tag tag = Tag::data, Device device = Device::cpu()) {
    return full(shape, 1, dtype, tag, device);
  }
  /// Uniform in [0, 1), from the next stream of the current scope (see core/random.h). Throws DTypeError
  /// unless dtype is f32 or f64.
  static Tensor rand(const Shape& shape, DType dtype = DType::f32, Tag tag = Tag::data,
                     Device device = Device::cpu());
  /// Normal with mean 0 and standard deviation 1, from the next stream of the current scope; bf16 and f16 are
  /// f32's numbers, rounded. Throws DTypeError for integers.
  static Tensor randn(const Shape& shape, DType dtype = DType::f32, Tag tag = Tag::data,
                      Device device = Device::cpu());
  /// start, start + step, ... before `end`: ceil((end - start) / step) numbers. Of integers they are i64,
  /// else f32, unless dtype says otherwise. Throws ArgumentError for a step of 0, for no number at all, and
  /// for bounds that are not below 2^53 or do not fit into dtype.
  template <class Start, class End, class Step = int>
  static Tensor arange(Start start, End end, Step step = 1,
                       DType dtype = std::is_integral_v<std::common_type_t<Start, End, Step>> ? DType::i64
                                                                                              : DType::f32,
                       Device device = Device::cpu()) {
    return arange_of(static_cast<double>(start), static_cast<double>(end), static_cast<double>(step), dtype,
                     device);
  }
  /// 0, 1, ... before `end`.
  template <class End>
  static Tensor arange(End end) {
    return arange(End{0}, end);
  }
  /// `steps` numbers at equal distances, from start to end, both included; only start if steps is 1. Throws
  /// ArgumentError if steps is below 1, and what arange throws.
  static Tensor linspace(double start, double end, std::int64_t steps, DType dtype = DType::f32,
                         Device device = Device::cpu());

  bool defined() const { return storage_ != nullptr; }  ///< whether there are a shape and bytes
  const Shape& shape() const { return shape_; }  ///< the extents; of an undefined tensor, those of a scalar
  DType dtype() const { return dtype_; }         ///< the type of the elements
  /// Where they are; the CPU, if undefined.
  Device device() const { return storage_ ? storage_->device() : Device::cpu(); }
  std::int64_t numel() const { return shape_.numel(); }  ///< how many there are
  /// How many bytes they take.
  std::int64_t bytes() const { return numel() * static_cast<std::int64_t>(size_of(dtype_)); }

  /// The elements, to read, where they are: those on a GPU are for its kernels alone. Throws DTypeError for
  /// another T, ReleasedError, and ArgumentError when undefined.
  template <class T>
  const T* data() const {
    return reinterpret_cast<const T*>(checked(dtype_of<T>()).data() + offset_);
  }
  /// The elements, to write: the storage's content number changes. Not to be kept beyond a release.
  template <class T>
  T* mutable_data() {
    return reinterpret_cast<T*>(checked(dtype_of<T>()).mutable_data() + offset_);
  }
  /// The elements of a tensor on the CPU. Throws DeviceError for others, and what `data` throws.
  template <class T>
  std::span<const T> values() const {
    check_on_cpu();
    return {data<T>(), static_cast<std::size_t>(numel())};
  }
  /// The same to write: the storage's content number changes.
  template <class T>
  std::span<T> mutable_values() {
    check_on_cpu();
    return {mutable_data<T>(), static_cast<std::size_t>(numel())};
  }
  /// The elements as numbers of any arithmetic type, from any device.
  template <class T>
  std::vector<T> to_vector() const;
  /// The one element of a tensor with numel() == 1, as a double. Throws ShapeError for others.
  double item() const;

  /// The same bytes under another shape. Throws ShapeError when the number of elements differs.
  Tensor reshape(const Shape& shape) const { return with_shape(shape); }
  /// Returns this tensor's bytes under `extents`, one of which may be -1: it is what the others leave.
  Tensor reshape(std::initializer_list<std::int64_t> extents) const { return with_shape(extents); }
  /// Rows [begin, end) of dimension 0, sharing the bytes. Throws ShapeError out of range.
  Tensor slice(std::int64_t begin, std::int64_t end) const;
  /// A copy with bytes of its own.
  Tensor clone(Tag tag) const;
  /// A copy with elements converted. A narrower float type rounds; from floats to integers the fraction is
  /// cut off, values out of range become the nearest integer in it, and NaN becomes 0.
  Tensor to(DType dtype, Tag tag) const;
  /// A copy on that device.
  Tensor to(Device device, Tag tag) const;

  /// What the bytes belong to. Throws ArgumentError when undefined.
  Storage& storage() const;
  /// Whether both hold the same storage, maybe other parts of it.
  bool shares_storage(const Tensor& other) const { return storage_ != nullptr && storage_ == other.storage_; }
  /// No other tensor holds these bytes, and this one covers them all: they may be overwritten.
  bool unique() const { return storage_.use_count() == 1 && bytes() == storage_->bytes(); }

 private:
  static Tensor arange_of(double start, double end, double step, DType dtype, Device device);
  Tensor with_shape(std::span<const std::int64_t> extents) const;
  Storage& checked(DType wanted) const;
  void check_on_cpu() const;

  std::shared_ptr<Storage> storage_;
  Shape shape_;
  std::int64_t offset_ = 0;  // bytes
  DType dtype_ = DType::f32;
};

/// Several tensors: inputs, outputs, what is saved.
using Tensors = std::vector<Tensor>;

/// An uninitialised tensor of x's shape, element type and device.
Tensor like(const Tensor& x, Tag tag = Tag::activation);
/// The same with another shape.
Tensor like(const Tensor& x, const Shape& shape, Tag tag = Tag::activation);

/// x where it is on the CPU, else a copy of it there.
Tensor on_cpu(const Tensor& x);

/// `tensor([[1, 2], [3, 4]], f32)`; long dimensions are abbreviated.
std::ostream& operator<<(std::ostream& out, const Tensor& x);
/// What `<<` writes.
std::string to_string(const Tensor& x);

}  // namespace retrace
