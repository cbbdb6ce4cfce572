// The threads of a block, one after another. One that comes to a barrier waits on a stack of its own until
// all others have come, so kernels without barriers are plain loops.
#include "fiber.h"
#include "gpu_host.h"
#include "host_layer.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace retrace::gpu_host {

namespace {

Order chosen_order = Order::forward;
Watcher* chosen_watcher = nullptr;
Counts counted;

class Block {
 public:
  /// Runs all threads of the block that blockIdx names.
  void run(dim3 threads, void (*body)(void*), void* arg) {
    extent_ = threads;
    count_ = static_cast<int>(threads.x * threads.y * threads.z);
    body_ = body;
    arg_ = arg;
    started_ = waiting_ = 0;
    std::size_t used = 0;
    while (started_ < count_) {  // a stack for each thread that waits, and one for those that do not
      if (used == workers_.size()) workers_.push_back(std::make_unique<Worker>());
      resume(used++);
    }
    while (waiting_ > 0) {
      if (waiting_ != count_) fail_barrier();
      waiting_ = 0;
      for (std::size_t i = 0; i < used; ++i)
        if (workers_[i]->waits) resume(i);
    }
  }

  void wait() {
    Worker& self = *workers_[running_];
    self.waits = true;
    ++waiting_;
    self.fiber.change_to(scheduler_);
  }

 private:
  struct Worker {
    Fiber fiber{&Block::work};
    int thread = 0;
    bool waits = false;
  };

  /// Runs threads that have not begun, until none is left; then waits for another block.
  static void work() {
    Block& block = current();
    Fiber::begin(block.scheduler_);
    for (;;) {
      Worker& self = *block.workers_[block.running_];
      while (block.started_ < block.count_) {
        const int n = block.started_++;
        self.thread = chosen_order == Order::forward ? n : block.count_ - 1 - n;
        block.enter(self.thread);
        block.body_(block.arg_);
      }
      self.fiber.change_to(block.scheduler_);
    }
  }

  void resume(std::size_t worker) {
    running_ = worker;
    Worker& w = *workers_[worker];
    if (w.waits) enter(w.thread);
    w.waits = false;
    scheduler_.change_to(w.fiber);
  }

  void enter(int thread) const {
    const auto t = static_cast<unsigned>(thread);
    threadIdx = {t % extent_.x, t / extent_.x % extent_.y, t / (extent_.x * extent_.y)};
  }

  [[noreturn]] void fail_barrier() const {
    std::fprintf(stderr, "gpu_host: %d of %d threads of block (%u,%u,%u) came to a barrier\n", waiting_,
                 count_, blockIdx.x, blockIdx.y, blockIdx.z);
    std::abort();
  }

 public:
  static Block& current() {
    static thread_local Block block;
    return block;
  }

 private:
  dim3 extent_;
  int count_ = 0;
  void (*body_)(void*) = nullptr;
  void* arg_ = nullptr;
  int started_ = 0;
  int waiting_ = 0;
  std::size_t running_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  Fiber scheduler_;
};

/// What every GPU since sm_30 takes.
bool is_valid(dim3 blocks, dim3 threads) {
  const bool some =
      blocks.x > 0 && blocks.y > 0 && blocks.z > 0 && threads.x > 0 && threads.y > 0 && threads.z > 0;
  return some && blocks.x <= 0x7fffffffU && blocks.y <= 65535 && blocks.z <= 65535 && threads.z <= 64 &&
         threads.x <= 1024 && threads.y <= 1024 && threads.x * threads.y * threads.z <= 1024;
}

}  // namespace

void set_order(Order order) { chosen_order = order; }

const Counts& counts() { return counted; }
void count_library_call() {
  add(counted.library_calls, 1);
  if (chosen_watcher != nullptr) chosen_watcher->begin();
}
void set_watcher(Watcher* watcher) { chosen_watcher = watcher; }
Watcher* watcher() { return chosen_watcher; }
Counts& mutable_counts() { return counted; }

cudaError_t run_grid(dim3 blocks, dim3 threads, void (*body)(void*), void* arg) {
  if (!is_valid(blocks, threads)) return cudaErrorInvalidConfiguration;
  add(counted.launches, 1);
  if (chosen_watcher != nullptr) chosen_watcher->begin();
  const DeviceAccess access;
  gridDim = blocks;
  blockDim = threads;
  for (unsigned z = 0; z < blocks.z; ++z)
    for (unsigned y = 0; y < blocks.y; ++y)
      for (unsigned x = 0; x < blocks.x; ++x) {
        blockIdx = {x, y, z};
        Block::current().run(threads, body, arg);
      }
  return cudaSuccess;
}

}  // namespace retrace::gpu_host

void __syncthreads() { retrace::gpu_host::Block::current().wait(); }
