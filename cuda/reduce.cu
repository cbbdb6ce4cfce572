#include <retrace/core/kernels.h>
#include <retrace/core/loops.h>
#include <retrace/cuda/install.h>
#include <retrace/cuda/team.h>

#include <algorithm>
#include <cmath>

namespace retrace::cuda {

namespace {

/// How many parts sums are cut into, at most, so that a GPU is full, and how many terms each has, at least.
struct PartLimits {
  std::int64_t most_parts;  // of all elements
  std::int64_t least_terms;
};
constexpr PartLimits kForBlocks{.most_parts = 2048, .least_terms = 16 * kThreads};
constexpr PartLimits kForThreads{.most_parts = 256 * 1024, .least_terms = 64};

/// How sum_to walks x: over the elements of `out` (kept) and over the terms of each (reduced).
struct Reduction {
  detail::Loops<1> kept;
  detail::Loops<1> reduced;
  std::int64_t elements;
  std::int64_t terms;      // of an element
  std::int64_t parts;      // of the terms, a function of the shapes alone
  std::int64_t part_size;  // terms in a part

  Reduction(const Shape& x, const Shape& out) : elements(out.numel()), terms(x.numel() / out.numel()) {
    for (int d = 0; d < x.rank(); ++d)
      (out[d] == x[d] ? kept : reduced).push({.extent = x[d], .strides = {x.numel_after(d)}});
    const PartLimits limits = for_blocks() ? kForBlocks : kForThreads;
    part_size = ceil_div(terms, std::clamp<std::int64_t>(limits.most_parts / elements, 1,
                                                         ceil_div(terms, limits.least_terms)));
    parts = ceil_div(terms, part_size);
  }
  bool neighbours() const { return reduced.innermost().strides[0] == 1; }
  bool for_blocks() const { return neighbours() && terms >= kTermsForBlock; }
};

/// sums[part][element of out] = the terms of that part, summed in double, divided by `divisor`.
template <class Team, class T, class To>
__global__ void sum_kernel(Reduction plan, double divisor, const T* x, To* sums) {
  for (auto item = Team::first_item(); item < plan.parts * plan.elements; item += Team::item_step()) {
    const T* from = x + plan.kept.step_offsets(item % plan.elements)[0];
    const std::int64_t begin = item / plan.elements * plan.part_size;
    const std::int64_t end = std::min(plan.terms, begin + plan.part_size);
    double sum = 0;
    for (auto i = begin + Team::rank(); i < end; i += Team::kSize)
      sum += static_cast<double>(from[plan.reduced.step_offsets(i)[0]]);
    sum = Team::sum(sum);
    if (Team::rank() == 0) sums[item] = static_cast<To>(sum / divisor);
  }
}

/// Each part is summed first, where there are several, and then the parts are.
template <class T, class To>
void sum(const Tensor& x, double divisor, const Shape& shape, Tensor& out) {
  const Reduction plan(x.shape(), shape);
  const auto run = [&]<class Result>(double by, Tensor& result, TypeTag<Result>) {
    with_team(plan.terms, plan.neighbours(), [&]<class Team>(Team) {
      launch(x.device(), Team::blocks_for(plan.parts * plan.elements), kThreads, &sum_kernel<Team, T, Result>,
             plan, by, x.data<T>(), result.template mutable_data<Result>());
    });
  };
  if (plan.parts == 1) return run(divisor, out, TypeTag<To>{});
  Tensor sums({plan.parts, plan.elements}, DType::f64, Tag::workspace, x.device());
  run(1, sums, TypeTag<double>{});
  sum<double, To>(sums, divisor, {1, plan.elements}, out);
}

void sum_to(const Tensor& x, double divisor, Tensor& out) {
  visit_any_float("sum_to", x.dtype(), [&]<class T>(TypeTag<T>) { sum<T, T>(x, divisor, out.shape(), out); });
}

/// y[r] = where row r has its first NaN, else its first largest element.
template <class Team, class T>
__global__ void argmax_kernel(std::int64_t rows, std::int64_t size, const T* x, std::int64_t* y) {
  for (auto r = Team::first_item(); r < rows; r += Team::item_step()) {
    const T* row = x + r * size;
    const auto at = [row](std::int64_t i) { return static_cast<Compute<T>>(row[i]); };
    auto most = at(0);
    int nans = 0;
    for (auto i = Team::rank(); i < size; i += Team::kSize) {
      if (!(at(i) <= most)) most = at(i);
      nans |= std::isnan(at(i)) ? 1 : 0;
    }
    most = Team::max(most);
    nans = Team::max(nans);
    std::int64_t behind = 0;  // elements from the one that is looked for on
    for (auto i = Team::rank(); i < size && behind == 0; i += Team::kSize)
      if (nans != 0 ? std::isnan(at(i)) : at(i) == most) behind = size - i;
    behind = Team::max(behind);
    if (Team::rank() == 0) y[r] = size - behind;
  }
}

void argmax(const Tensor& x, Tensor& y) {
  const std::int64_t size = x.shape()[-1];
  visit_any_float("argmax", x.dtype(), [&]<class T>(TypeTag<T>) {
    with_team(size, true, [&]<class Team>(Team) {
      launch(x.device(), Team::blocks_for(y.numel()), kThreads, &argmax_kernel<Team, T>, y.numel(), size,
             x.data<T>(), y.mutable_data<std::int64_t>());
    });
  });
}

/// y[r] = how many elements of row r come before the one at labels[r].
template <class Team, class T>
__global__ void label_rank_kernel(std::int64_t rows, std::int64_t size, const T* x,
                                  const std::int64_t* labels, std::int64_t* y) {
  for (auto r = Team::first_item(); r < rows; r += Team::item_step()) {
    const T* row = x + r * size;
    const std::int64_t label = labels[r];
    const bool has_rank = label >= 0 && label < size && !std::isnan(static_cast<Compute<T>>(row[label]));
    std::int64_t before = 0;
    for (auto i = Team::rank(); i < size && has_rank; i += Team::kSize) {
      const auto v = static_cast<Compute<T>>(row[i]);
      const auto own = static_cast<Compute<T>>(row[label]);
      before += i < label ? !(v < own) : i > label && !(v <= own);  // NaNs come before
    }
    before = Team::sum(before);
    if (Team::rank() == 0) y[r] = has_rank ? before : size;
  }
}

void label_rank(const Tensor& x, const Tensor& labels, Tensor& y) {
  const std::int64_t size = x.shape()[1];
  visit_any_float("label_rank", x.dtype(), [&]<class T>(TypeTag<T>) {
    with_team(size, true, [&]<class Team>(Team) {
      launch(x.device(), Team::blocks_for(y.numel()), kThreads, &label_rank_kernel<Team, T>, y.numel(), size,
             x.data<T>(), labels.data<std::int64_t>(), y.mutable_data<std::int64_t>());
    });
  });
}

}  // namespace

void install_reduce() {
  kernel::sum_to.install(DeviceKind::cuda, &sum_to);
  kernel::argmax.install(DeviceKind::cuda, &argmax);
  kernel::label_rank.install(DeviceKind::cuda, &label_rank);
}

}  // namespace retrace::cuda
