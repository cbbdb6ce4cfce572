// Speed of the convolution kernels at the shapes of CIFAR networks: `conv2d [threads] [seconds per
// measurement]`.
#include <retrace/core/kernels.h>
#include <retrace/core/memory.h>
#include <retrace/core/threads.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

using namespace retrace;

namespace {

constexpr std::int64_t kBatch = 100;

struct Case {
  const char* name;
  Shape x, w;
  Conv2dOptions options{};
};

Tensor ramp(const Shape& shape) {
  Tensor x(shape, DType::f32);
  float* values = x.mutable_data<float>();
  for (std::int64_t i = 0; i < x.numel(); ++i) values[i] = static_cast<float>(i % 17) / 17 - 0.5F;
  return x;
}

/// The time of the fastest run in seconds: other programs on the machine make runs slower, never faster.
double fastest_seconds(const std::function<void()>& run, double budget) {
  using Clock = std::chrono::steady_clock;
  double fastest = 1e30;
  double spent = 0;
  for (int runs = 0; runs < 5 || spent < budget; ++runs) {
    const auto before = Clock::now();
    run();
    const double seconds = std::chrono::duration<double>(Clock::now() - before).count();
    fastest = std::min(fastest, seconds);
    spent += seconds;
  }
  return fastest;
}

void measure(const Case& c, double budget) {
  const Tensor x = ramp(c.x);
  const Tensor w = ramp(c.w);
  const Shape shape = conv2d_shape(c.x, c.w, c.options);
  const Tensor dy = ramp(shape);
  Tensor y = like(dy);
  Tensor dx = like(x);
  Tensor dw = like(w);
  const Counter workspace(Tag::workspace);
  const double products = static_cast<double>(shape.numel() * c.w.numel_after(0));
  const auto speed = [&](const std::function<void()>& run) {
    return 2e-9 * products / fastest_seconds(run, budget);
  };
  const double forward = speed([&] { kernel::conv2d(x, w, Tensor(), c.options, y); });
  const double data = speed([&] { kernel::conv2d_backward_data(dy, w, c.options, dx); });
  const double weight = speed([&] { kernel::conv2d_backward_weight(dy, x, c.options, dw); });
  std::printf("%-23s %9.1f %9.1f %9.1f   %s\n", c.name, forward, data, weight,
              format_bytes(workspace.peak()).c_str());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) set_num_threads(std::atoi(argv[1]));
  const double budget = argc > 2 ? std::atof(argv[2]) : 0.3;
  const Conv2dOptions same{.padding = 1};
  const Conv2dOptions half{.stride = 2, .padding = 1};
  const std::vector<Case> cases{
      {"3->32@32 3x3", {kBatch, 3, 32, 32}, {32, 3, 3, 3}, same},
      {"16->16@32 3x3", {kBatch, 16, 32, 32}, {16, 16, 3, 3}, same},
      {"32->32@32 3x3", {kBatch, 32, 32, 32}, {32, 32, 3, 3}, same},
      {"32->32@16 3x3", {kBatch, 32, 16, 16}, {32, 32, 3, 3}, same},
      {"56->56@8 3x3", {kBatch, 56, 8, 8}, {56, 56, 3, 3}, same},
      {"64->64@8 3x3", {kBatch, 64, 8, 8}, {64, 64, 3, 3}, same},
      {"16->32@32 3x3 stride 2", {kBatch, 16, 32, 32}, {32, 16, 3, 3}, half},
      {"32->64@16 3x3 stride 2", {kBatch, 32, 16, 16}, {64, 32, 3, 3}, half},
      {"64->128@16 3x3 stride 2", {kBatch, 64, 16, 16}, {128, 64, 3, 3}, half},
      {"16->64@32 1x1", {kBatch, 16, 32, 32}, {64, 16, 1, 1}},
      {"64->16@32 1x1", {kBatch, 64, 32, 32}, {16, 64, 1, 1}},
      {"256->64@8 1x1", {kBatch, 256, 8, 8}, {64, 256, 1, 1}},
      {"64->256@8 1x1", {kBatch, 64, 8, 8}, {256, 64, 1, 1}},
      {"16->32@32 1x1 stride 2", {kBatch, 16, 32, 32}, {32, 16, 1, 1}, {.stride = 2}},
      {"32->64@16 1x1 stride 2", {kBatch, 32, 16, 16}, {64, 32, 1, 1}, {.stride = 2}},
  };
  std::printf("batch %lld, f32, %d threads; GFLOP/s of the fastest run\n", static_cast<long long>(kBatch),
              num_threads());
  std::printf("%-23s %9s %9s %9s   %s\n", "", "forward", "data", "weight", "workspace");
  for (const Case& c : cases) measure(c, budget);
}
