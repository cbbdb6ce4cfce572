// Prints what a training step asks of a GPU: launches, calls of libraries, and bytes of the device's memory
// that they move, counted exactly. Its kernels and stand-ins are compiled such that every load and store
// calls a function, as for the Linux kernel's AddressSanitizer; those functions are here.
//
// *moved* counts each byte once a launch, as if its caches were perfect; *least* counts it once an operation:
// what that reads of others, and what it writes. So moved / least is what more launches than one cost.
#include "host/host_layer.h"

#include <fmt/format.h>
#include <retrace/autograd/ops.h>
#include <retrace/autograd/tape.h>
#include <retrace/core/kernels.h>
#include <retrace/core/random.h>
#include <retrace/cuda/device.h>
#include <retrace/nn/optimizer.h>
#include <retrace/revnet/networks.h>
#include <sys/mman.h>

#include <map>
#include <stdexcept>
#include <string>
#include <utility>

using namespace retrace;

namespace {

constexpr std::size_t kWatched = std::size_t{1} << 30;  // bytes from the device's first one on

/// For each byte, the number of the launch or operation that touched it last.
class Stamps {
 public:
  Stamps() {
    void* mapped = ::mmap(nullptr, kWatched * sizeof(std::uint32_t), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::runtime_error("no memory for the stamps");
    numbers_ = static_cast<std::uint32_t*>(mapped);
  }
  bool has(std::size_t byte, std::uint32_t number) const { return numbers_[byte] == number; }
  /// Whether that is new.
  bool mark(std::size_t byte, std::uint32_t number) {
    return std::exchange(numbers_[byte], number) != number;
  }

 private:
  std::uint32_t* numbers_;
};

struct Work {
  std::int64_t launches = 0;
  std::int64_t library_calls = 0;
  std::int64_t moved = 0;
  std::int64_t least = 0;

  Work& operator+=(const Work& other) {
    launches += other.launches;
    library_calls += other.library_calls;
    moved += other.moved;
    least += other.least;
    return *this;
  }
};

/// Counts the work since the last operation ended.
class Meter final : public gpu_host::Watcher {
 public:
  void begin() override { ++launch_; }
  void read(const void* data, std::size_t bytes) override {
    for_each_byte(data, bytes, [this](std::size_t byte) {
      work_.moved += read_in_launch_.mark(byte, launch_) ? 1 : 0;
      const bool own = written_in_op_.has(byte, op_);
      work_.least += !own && read_in_op_.mark(byte, op_) ? 1 : 0;
    });
  }
  void written(const void* data, std::size_t bytes) override {
    for_each_byte(data, bytes, [this](std::size_t byte) {
      work_.moved += written_in_launch_.mark(byte, launch_) ? 1 : 0;
      work_.least += written_in_op_.mark(byte, op_) ? 1 : 0;
    });
  }

  /// What was done since the last call.
  Work end_operation() {
    const gpu_host::Counts now = gpu_host::counts();
    work_.launches = now.launches - before_.launches;
    work_.library_calls = now.library_calls - before_.library_calls;
    before_ = now;
    ++op_;
    return std::exchange(work_, Work{});
  }

 private:
  template <class F>
  static void for_each_byte(const void* data, std::size_t bytes, const F& f) {
    const auto first =
        static_cast<std::size_t>(static_cast<const std::byte*>(data) - gpu_host::device_memory());
    if (first >= kWatched) return;  // the host's
    for (std::size_t byte = first; byte < first + bytes; ++byte) f(byte);
  }

  std::uint32_t launch_ = 1;
  std::uint32_t op_ = 1;
  Stamps read_in_launch_, written_in_launch_, read_in_op_, written_in_op_;
  Work work_;
  gpu_host::Counts before_ = gpu_host::counts();
};

Meter& meter() {
  static Meter& meter = *new Meter;
  return meter;
}

/// Books the work of a tape's operations, forward (replays included) and backward.
class Books final : public TapeObserver {
 public:
  struct Row {
    std::int64_t calls = 0;
    Work forward, backward;
  };

  void on(const TapeEvent& event) override {
    const Work work = meter().end_operation();
    if (event.kind != TapeEvent::Kind::recorded && event.kind != TapeEvent::Kind::done) {
      rows["between the derivatives"].backward += work;
      return;
    }
    Row& row = rows[std::string(event.op)];
    if (event.kind == TapeEvent::Kind::recorded) {
      ++row.calls;
      row.forward += work;
    } else {
      row.backward += work;
    }
  }

  std::map<std::string, Row> rows;
};

Work print_row(const std::string& name, const Books::Row& row) {
  const auto& [calls, forward, backward] = row;
  Work all = forward;
  all += backward;
  const auto kib = [](std::int64_t bytes) { return static_cast<double>(bytes) / 1024; };
  fmt::print("| {} | {} | {} | {} | {} | {:.1f} | {:.1f} | {:.2f} |\n", name, calls, forward.launches,
             backward.launches, all.library_calls, kib(all.moved), kib(all.least),
             all.least == 0 ? 0.0 : static_cast<double>(all.moved) / static_cast<double>(all.least));
  return all;
}

void print_head(const std::string& what) {
  fmt::print(
      "\n| {} | calls | launches forward | launches backward | library calls | moved, KiB | least, KiB | "
      "moved / least |\n"
      "|---|--:|--:|--:|--:|--:|--:|--:|\n",
      what);
}

constexpr std::int64_t kBatch = 4;

Tensor random_on(Device device, const Shape& shape) {
  Tensor x(shape, DType::f32, Tag::data, device);
  kernel::normal(next_stream(), 0, 1, x);
  return x;
}

/// The second of two steps: the first one makes the optimizer's states.
void print_step(Device device, Policy policy) {
  manual_seed(3);
  NetworkOptions options = network_options("revnet38");
  options.channels = {8, 8, 16, 28};
  ResidualNetwork network(options);
  network.to(device);
  network.set_policy(policy);
  SGD optimizer(network.parameters(), {.lr = 0.05, .momentum = 0.9, .weight_decay = 2e-4});
  const Tensor images = random_on(device, {kBatch, 3, 16, 16});
  const Tensor labels = Tensor::from<std::int64_t>({1, 7, 3, 3}, {kBatch}).to(device, Tag::data);
  Books books;
  Work update;
  for (int step = 0; step < 2; ++step) {
    books.rows.clear();
    Tape tape;
    tape.observe(&books);
    meter().end_operation();
    const Var loss = cross_entropy(network(images), labels);
    tape.backward(loss);
    meter().end_operation();
    optimizer.step();
    update = meter().end_operation();
    optimizer.zero_grad();
  }
  print_head(fmt::format("revnet38 with 8, 8, 16, 28 channels, {}", name_of(policy)));
  Books::Row all;
  for (const auto& [name, row] : books.rows) {
    print_row(name, row);
    all.calls += row.calls;
    all.forward += row.forward;
    all.backward += row.backward;
  }
  print_row("the optimizer's step", {.calls = 1, .forward = {}, .backward = update});
  all.backward += update;
  print_row("all", all);
}

struct Layer {
  Parameter gamma, beta, weight;
  Tensor mean, var;

  Layer(Device device, std::int64_t channels)
      : gamma(Tensor::full({channels}, 1, DType::f32, Tag::parameter, device)),
        beta(Tensor::zeros({channels}, DType::f32, Tag::parameter, device)),
        weight(random_on(device, {channels, channels, 3, 3})),
        mean(Tensor::zeros({channels}, DType::f32, Tag::buffer, device)),
        var(Tensor::full({channels}, 1, DType::f32, Tag::buffer, device)) {}
};

/// A residual block: x + conv(relu(norm(conv(relu(norm(x)))))), by fused operations or by single ones.
Books::Row block(Device device, bool fused) {
  manual_seed(4);
  Layer first(device, 16);
  Layer second(device, 16);
  const Tensor input = random_on(device, {kBatch, 16, 16, 16});
  const Conv2dOptions same{.padding = 1};
  const auto activated = [fused](const Var& x, Layer& layer) {
    if (fused) return batch_norm_relu(x, layer.gamma, layer.beta, layer.mean, layer.var, {.training = true});
    return relu(batch_norm(x, layer.gamma, layer.beta, layer.mean, layer.var, {.training = true}));
  };
  Tape tape;
  Var x = tape.watch(input);
  Books::Row row{.calls = 1, .forward = {}, .backward = {}};
  meter().end_operation();
  const Var inner = conv2d(activated(x, first), first.weight, Var(), same);
  const Var last = activated(inner, second);
  Var residual = x;
  const Var y = fused ? conv2d_onto(residual, Sign::plus, last, second.weight, Var(), same)
                      : x + conv2d(last, second.weight, Var(), same);
  row.forward = meter().end_operation();
  const Tensor dy = Tensor::full(y.shape(), 1, DType::f32, Tag::gradient, device);
  meter().end_operation();
  tape.backward(y, dy);
  row.backward = meter().end_operation();
  return row;
}

}  // namespace

extern "C" {
#define RETRACE_ACCESSES(size)                                                                            \
  void __asan_load##size##_noabort(unsigned long at) { meter().read(reinterpret_cast<void*>(at), size); } \
  void __asan_store##size##_noabort(unsigned long at) { meter().written(reinterpret_cast<void*>(at), size); }
RETRACE_ACCESSES(1)
RETRACE_ACCESSES(2)
RETRACE_ACCESSES(4)
RETRACE_ACCESSES(8)
RETRACE_ACCESSES(16)
void __asan_loadN_noabort(unsigned long at, unsigned long size) {
  meter().read(reinterpret_cast<void*>(at), size);
}
void __asan_storeN_noabort(unsigned long at, unsigned long size) {
  meter().written(reinterpret_cast<void*>(at), size);
}
void __asan_handle_no_return() {}
}

int main() {
  const Device device = cuda::device(0);
  gpu_host::set_watcher(&meter());
  print_step(device, Policy::stored);
  print_step(device, Policy::reversible);
  print_head("a residual block of 16 channels at 16x16, as one operation");
  const Work fused = print_row("fused", block(device, true));
  const Work single = print_row("not fused", block(device, false));
  return fused.launches < single.launches && fused.moved < single.moved ? 0 : 1;
}
