#pragma once
// Internal: what the algorithms of the convolution on the CPU share.
#include <retrace/core/cpu/parallel.h>
#include <retrace/core/kernels.h>
#include <retrace/core/shape_rules.h>
#include <retrace/core/tensor.h>

#include <algorithm>
#include <bit>

namespace retrace::cpu {

/// The numbers of one convolution. x: [n, c, h, w], weight: [o, c / groups, kh, kw], y: [n, o, oh, ow].
struct Conv2dGeometry {
  Conv2dGeometry(const Shape& x, const Shape& weight, const Shape& y, const Conv2dOptions& conv2d_options)
      : n(x[0]),
        c(x[1]),
        h(x[2]),
        w(x[3]),
        o(weight[0]),
        kh(weight[2]),
        kw(weight[3]),
        oh(y[2]),
        ow(y[3]),
        options(conv2d_options) {}

  std::int64_t group_c() const { return c / options.groups; }
  std::int64_t group_o() const { return o / options.groups; }
  std::int64_t plane() const { return h * w; }
  std::int64_t out_plane() const { return oh * ow; }
  /// The number of products in an element of y.
  std::int64_t depth() const { return group_c() * kh * kw; }
  /// The number of products of an image.
  std::int64_t products() const { return o * out_plane() * depth(); }

  /// Whether filters have 3 x 3 elements, on all channels, and go so many pixels a step, with padding 1.
  bool is_3x3(std::int64_t stride) const {
    return kh == 3 && kw == 3 && options.stride == Size2d(stride) && options.padding == Size2d(1) &&
           options.dilation == Size2d(1) && options.groups == 1;
  }

  std::int64_t n, c, h, w, o, kh, kw, oh, ow;
  Conv2dOptions options;
};

/// Products that are worth a task of their own.
inline constexpr std::int64_t kTaskProducts = std::int64_t{1} << 18;

/// Runs the units of a batch, whose results don't depend on each other, in tasks of some consecutive ones.
/// Each thread has scratch of its own, for as many threads as shapes say: so the workspace does not depend on
/// their number.
template <class T>
class BatchTasks {
 public:
  /// `elements` of scratch a thread, or none; `products` of a unit tell which batches are too small for
  /// several tasks.
  BatchTasks(std::int64_t units, std::int64_t elements, std::int64_t products)
      : units_(units),
        elements_(elements),
        tasks_(std::clamp<std::int64_t>(units * products / kTaskProducts, 1, std::min(units, kMostTasks))),
        threads_(elements > 0 ? std::min(tasks_, kMostThreads) : tasks_) {
    if (elements > 0) scratch_ = Tensor({threads_, elements}, dtype_of<T>(), Tag::workspace);
  }

  /// Runs body(scratch, first unit, end unit) for each task.
  template <class Body>
  void run(const Body& body) {
    T* scratch = elements_ > 0 ? scratch_.mutable_data<T>() : nullptr;
    parallel_tasks(tasks_, threads_, [&](int slot, std::int64_t task) {
      body(scratch + slot * elements_, first_unit(task), first_unit(task + 1));
    });
  }

 private:
  static constexpr std::int64_t kMostTasks = 16;
  static constexpr std::int64_t kMostThreads = 8;

  /// Earlier tasks have more units, so that threads which take one after another end at about the same time:
  /// the trapezoid of T. Tzen and L. Ni, "Trapezoid self-scheduling", 1993.
  std::int64_t first_unit(std::int64_t task) const {
    if (units_ < 2 * tasks_) return task * units_ / tasks_;
    const std::int64_t later = tasks_ - task;
    return units_ - units_ * later * later / (tasks_ * tasks_);
  }

  std::int64_t units_;
  std::int64_t elements_;
  std::int64_t tasks_;
  std::int64_t threads_;
  Tensor scratch_;
};

/// Cuts a batch over which sums are made into slots, each with sums and scratch of its own; a slot's images
/// run one after another. Their number depends on shapes alone, and so do the size of the workspace and the
/// order of the sums. It is a power of two if images allow, so that as many threads have equal shares.
template <class T>
class BatchSlots {
 public:
  static constexpr std::int64_t kMostSlots = 32;

  /// `elements` of sums and scratch a slot; `products` of an image tell which batches are too small for
  /// several threads. Fewer slots than usual where their sums are many.
  BatchSlots(std::int64_t images, std::int64_t elements, std::int64_t products,
             std::int64_t most_slots = kMostSlots)
      : images_(images),
        elements_(elements),
        count_(slot_count(images, elements, most_slots)),
        grain_(std::clamp<std::int64_t>(kTaskProducts * count_ / (images * products), 1, count_)),
        workspace_({count_, elements}, dtype_of<T>(), Tag::workspace) {}

  /// Runs body(scratch, first image, end image) for each slot.
  template <class Body>
  void run(const Body& body) {
    T* scratch = workspace_.mutable_data<T>();
    parallel_for(count_, grain_, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t slot = first; slot < last; ++slot)
        body(scratch + slot * elements_, slot * images_ / count_, (slot + 1) * images_ / count_);
    });
  }

  /// Adds up scratch[0, size) of all slots, in their order. Returns the sums.
  const T* sum(std::int64_t size) {
    T* sums = workspace_.mutable_data<T>();
    parallel_for(size, kGrain / 8, [=, this](std::int64_t begin, std::int64_t end) {
      for (std::int64_t slot = 1; slot < count_; ++slot)
        for (std::int64_t i = begin; i < end; ++i) sums[i] += sums[slot * elements_ + i];
    });
    return sums;
  }

 private:
  static constexpr std::int64_t kWorkspaceBytes = std::int64_t{2} << 20;
  static constexpr std::int64_t kFewestSlots = 4;

  static std::int64_t slot_count(std::int64_t images, std::int64_t elements, std::int64_t most_slots) {
    const std::int64_t bytes = elements * static_cast<std::int64_t>(sizeof(T));
    const std::int64_t fit = std::clamp(kWorkspaceBytes / bytes, kFewestSlots, most_slots);
    return std::min(images, static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(fit))));
  }

  std::int64_t images_;
  std::int64_t elements_;
  std::int64_t count_;
  std::int64_t grain_;
  Tensor workspace_;
};

/// Any convolution, as matrix products over columns of input pixels. bias may be undefined.
template <class T>
void im2col_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    Tensor& y);
template <class T>
void im2col_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight, Tensor& dx);
template <class T>
void im2col_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw);

/// Faster, for 3 x 3 filters with stride 1 and padding 1 on all channels.
bool direct3x3_fits(const Conv2dGeometry& g);
template <class T>
void direct3x3_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const kernel::Residual& residual, Tensor& y);
template <class T>
void direct3x3_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight,
                             const kernel::Residual& residual, Tensor& dx);
template <class T>
void direct3x3_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw);

/// Faster still, for f32 on many channels of planes that tiles of 4 x 4 cover; rounds a little more.
bool winograd_fits(const Conv2dGeometry& g);
void winograd_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const kernel::Residual& residual, Tensor& y);
void winograd_backward_data(const Tensor& dy, const Tensor& weight, const kernel::Residual& residual,
                            Tensor& dx);
void winograd_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw);

/// Faster, for 3 x 3 filters with stride 2 and padding 1 on all channels of images with even sides.
bool strided3x3_fits(const Conv2dGeometry& g);
template <class T>
void strided3x3_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Tensor& y);
template <class T>
void strided3x3_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight, Tensor& dx);
template <class T>
void strided3x3_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw);

/// Faster still, for f32 on many channels of planes that tiles of 8 x 8 cover; rounds a little more.
bool winograd_strided_fits(const Conv2dGeometry& g);
void winograd_strided_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y);
void winograd_strided_backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx);
void winograd_strided_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw);

/// Faster, for 1 x 1 filters of any stride without padding, on all channels. backward_data takes a residual
/// with stride 1 alone.
bool pointwise_fits(const Conv2dGeometry& g);
template <class T>
void pointwise_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const kernel::Residual& residual, Tensor& y);
template <class T>
void pointwise_backward_data(const Conv2dGeometry& g, const Tensor& dy, const Tensor& weight,
                             const kernel::Residual& residual, Tensor& dx);
template <class T>
void pointwise_backward_weight(const Conv2dGeometry& g, const Tensor& dy, const Tensor& x, Tensor& dw);

}  // namespace retrace::cpu
