#include <retrace/autograd/ops.h>
#include <retrace/nn/option_ranges.h>
#include <retrace/revnet/residual.h>

#include <string>

namespace retrace {

namespace {

Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
  return Conv2d(in, out, {.kernel = kernel, .stride = stride, .padding = kernel / 2, .bias = false});
}

}  // namespace

ResidualBranch::ResidualBranch(std::int64_t in, std::int64_t width, const BranchOptions& options)
    : dropout_(options.dropout) {
  kNetworkDropoutRange.check("residual", "the dropout probability", dropout_);
  const auto unit = [&](std::int64_t from, std::int64_t to, std::int64_t kernel, std::int64_t stride) {
    const bool normed = options.preactivation || !units_.empty();
    units_.push_back({normed ? std::optional<BatchNorm2d>(std::in_place, from, options.norm) : std::nullopt,
                      convolution(from, to, kernel, stride)});
  };
  if (options.bottleneck) {
    unit(in, width, 1, 1);
    unit(width, width, 3, options.stride);
    unit(width, width * expansion(true), 1, 1);
  } else {
    unit(in, width, 3, options.stride);
    unit(width, width, 3, 1);
  }
}

Var ResidualBranch::forward(const Var& x) {
  Var none;
  return forward_onto(none, Sign::plus, x);
}

Var ResidualBranch::forward_onto(Var& residual, Sign sign, const Var& x) {
  Var h = x;
  for (Unit& unit : units_) {
    const bool last = &unit == &units_.back();
    if (unit.norm) h = unit.norm->then_relu(h);
    if (last && dropout_ > 0) h = dropout(h, dropout_, training());
    h = last ? unit.conv.onto(residual, sign, h) : unit.conv(h);
  }
  return h;
}

void ResidualBranch::members(Members& m) {
  for (std::size_t i = 0; i < units_.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    if (units_[i].norm) m.module("bn" + number, *units_[i].norm);
    m.module("conv" + number, units_[i].conv);
  }
}

ResidualBlock::ResidualBlock(std::int64_t in, std::int64_t width, const BranchOptions& options)
    : F_(in, width, options) {
  const std::int64_t out = width * expansion(options.bottleneck);
  if (options.stride != 1 || in != out)
    shortcut_.emplace(Shortcut{convolution(in, out, 1, options.stride), BatchNorm2d(out, options.norm)});
}

Var ResidualBlock::forward(const Var& x) {
  Var sum = shortcut_ ? shortcut_->norm(shortcut_->conv(x)) : x;
  const Var f = F_.onto(sum, Sign::plus, x);
  return sum.defined() ? sum + f : f;
}

void ResidualBlock::members(Members& m) {
  m.module("F", F_);
  if (!shortcut_) return;
  m.module("shortcut_conv", shortcut_->conv);
  m.module("shortcut_bn", shortcut_->norm);
}

}  // namespace retrace
