// An invertible module of one's own: a learned scale per channel. The wrapper needs forward and inverse, no
// more.
#include <retrace/retrace.h>

#include <iostream>

using namespace retrace;

/// y = exp(a) x with one a per channel; x = exp(-a) y. x: [N, C, H, W].
/// (ActNorm without its shift: Kingma and Dhariwal, "Glow", NeurIPS 2018.)
class ChannelScale final : public InvertibleModule {
 public:
  explicit ChannelScale(std::int64_t channels)
      : log_scale_(Tensor::full({1, channels, 1, 1}, 0.1, DType::f32)) {}

  Var forward(const Var& x) override { return x * exp(Var(log_scale_)); }
  Var inverse(const Var& y) override { return y * exp(-Var(log_scale_)); }
  void members(Members& m) override { m.parameter("log_scale", log_scale_); }

 private:
  std::shared_ptr<Module> copy() const override { return std::make_shared<ChannelScale>(*this); }
  Parameter log_scale_;
};

int main() {
  const auto scale = std::make_shared<ChannelScale>(3);
  const InvertibilityReport report = is_invertible_module(*scale, Shape{2, 3, 4, 4});
  std::cout << "invertible: " << (report ? "yes" : "no") << ", worst error " << report.worst_error << "\n";

  InvertibleModuleWrapper wrapped(scale);
  Tape tape;
  const Var x = tape.watch(Tensor::full({2, 3, 4, 4}, 2, DType::f32));
  tape.backward(sum(wrapped(x)));
  std::cout << "d sum(y) / d log_scale: " << scale->parameters().front()->grad() << "\n";
  return report ? 0 : 1;
}
