#pragma once
#include <retrace/core/tensor.h>

#include <array>
#include <tuple>
#include <type_traits>

namespace retrace {

template <class Signature>
class Kernel;

/// One operation on raw tensors: a function for each kind of device, chosen by the first argument that has
/// one.
///
/// Kernels write into tensors that the caller allocated and never allocate a result. The constructor is
/// consteval and takes the CPU's function, so a kernel without one does not link, and nothing depends on the
/// order of static initialisation.
template <class... Args>
class Kernel<void(Args...)> {
 public:
  using Function = void (*)(Args...);

  explicit consteval Kernel(Function cpu) : functions_{cpu} {}

  void operator()(Args... args) const { functions_[device_index(args...)](args...); }

  /// Sets the function for another kind of device.
  void install(DeviceKind kind, Function function) { functions_[static_cast<std::size_t>(kind)] = function; }

 private:
  template <class First, class... Rest>
  static std::size_t device_index(const First& first, const Rest&... rest) {
    if constexpr (requires { first.device(); })
      return static_cast<std::size_t>(first.device().kind());
    else
      return device_index(rest...);
  }

  std::array<Function, kDeviceKinds> functions_;
};

}  // namespace retrace
