#pragma once
// What the tests ask of the layer that stands for a GPU.
#include <cstddef>
#include <cstdint>

namespace retrace::gpu_host {

/// In which order the threads of a block run between two barriers: a barrier that is missing shows in one of
/// them.
enum class Order { forward, reversed };
void set_order(Order order);

/// What the runtime finds.
enum class Machine { one_gpu, no_gpu, no_driver };
void set_machine(Machine machine);
/// 90 for sm_90, which it is at first.
void set_capability(int capability);

/// What was asked of the device since the program began.
struct Counts {
  std::int64_t launches = 0;
  std::int64_t library_calls = 0;  ///< of cuBLAS and cuDNN that compute
  std::int64_t uploaded = 0;       ///< bytes
  std::int64_t downloaded = 0;     ///< bytes
  /// Copies in a stream that had not waited for all launches and calls before: they may overwrite what is
  /// still being read.
  std::int64_t hasty_copies = 0;
  std::int64_t events = 0;  ///< recorded in a stream
  std::int64_t waits = 0;   ///< of the host, for a stream
};
const Counts& counts();
/// For the stand-ins, before they compute.
void count_library_call();

/// Sees what the device's memory is used for. Kernels tell only where they are compiled for it
/// (step_table.cpp).
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// A launch, a call of a library or a copy begins.
  virtual void begin() = 0;
  virtual void read(const void* data, std::size_t bytes) = 0;
  virtual void written(const void* data, std::size_t bytes) = 0;
};
void set_watcher(Watcher* watcher);
Watcher* watcher();

/// What cuDNN was asked about convolutions.
struct ConvolutionCalls {
  std::int64_t questions = 0;  ///< to the heuristics
  int algorithm = -1;          ///< of the last convolution
  std::size_t workspace = 0;   ///< that it was given
};
const ConvolutionCalls& convolution_calls();
/// Whether every algorithm but the direct one takes more than 64 MiB.
void set_scarce(bool scarce);

/// While one exists, the device's memory can be touched; at other times the host faults there, as it would
/// with a GPU.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

/// Where the device's memory lies: at its first addresses what is allocated first.
const std::byte* device_memory();

/// Whether all of these bytes are the device's.
bool is_device_memory(const void* data, std::size_t bytes);

/// Whether no kernel has written behind a block that cudaMalloc gave and that is not freed. Tensors fill
/// their blocks where their bytes are a multiple of kBlockAlignment (core/allocator.h).
bool guards_hold();

}  // namespace retrace::gpu_host
